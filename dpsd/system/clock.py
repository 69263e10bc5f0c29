"""The wall clock, for tokens, certificates and people, and the boot clock; timers use `time.monotonic`."""

from __future__ import annotations

import time

STEP = 10
"""Seconds; a smaller leap of the wall clock does not count as set, since NTP corrects it bit by bit."""


def wall_clock() -> float:
    """Return seconds since 1970."""
    return time.time()


def boot_clock() -> float:
    """Return seconds since the boot, with the time asleep; the same for all processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def clock_offset() -> float:
    """Return the wall clock minus the boot clock, in seconds, which changes only when somebody sets the clock."""
    return wall_clock() - boot_clock()


def was_clock_set(offset: float) -> bool:
    """Tell whether the wall clock was set since `clock_offset` returned `offset`."""
    return abs(clock_offset() - offset) >= STEP


def format_time(seconds: float) -> str:
    """Return `seconds` since 1970 as UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
