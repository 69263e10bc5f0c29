"""The clocks.

For what the protocol needs it for (a token's expiry, a certificate's dates) and for people; timers use
`time.monotonic`.
"""

from __future__ import annotations

import time

STEP = 10
"""Seconds by which the wall clock must leap to be taken as set; what NTP corrects bit by bit stays below."""


def wall_clock() -> float:
    """Return seconds since 1970."""
    return time.time()


def boot_clock() -> float:
    """Return seconds since this boot, sleep included; comparable between processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def clock_offset() -> float:
    """Return the wall clock less the boot clock: it changes when somebody sets the clock, and only then."""
    return wall_clock() - boot_clock()


def was_clock_set(offset: float) -> bool:
    """Tell whether the wall clock was set since `clock_offset` returned `offset`."""
    return abs(clock_offset() - offset) >= STEP


def format_time(seconds: float) -> str:
    """Return `seconds` since 1970 as UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
