"""The wall clock. Floor 2.

For what the protocol needs it for (a token's expiry, a certificate's dates) and for people; timers use
`time.monotonic`.
"""

from __future__ import annotations

import time


def wall_clock() -> float:
    """Return seconds since 1970."""
    return time.time()


def boot_clock() -> float:
    """Return seconds since this boot, sleep included; comparable between processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def rfc3339(seconds: float) -> str:
    """Return `seconds` since 1970 as UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
