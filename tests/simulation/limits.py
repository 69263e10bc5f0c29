"""What a service lets through: two ways to count calls a minute, since which one DPS uses is not published."""

from __future__ import annotations

import math

MINUTE = 60.0


class FixedWindow:
    """So many calls in each minute of the clock; what a minute leaves is lost."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._minute = -1
        self._left = 0

    def left(self, now: float) -> int:
        """Return how many calls would be let through at `now`, seconds."""
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self._left = minute, self._calls
        return self._left

    def take(self, now: float, wanted: int = 1) -> int:
        """Return how many of the wanted calls are let through."""
        taken = min(wanted, self.left(now))
        self._left -= taken
        return taken

    def seconds_to_next(self, now: float) -> int:
        """Return whole seconds until a call may be let through again."""
        return math.ceil(MINUTE - now % MINUTE)


class TokenBucket:
    """A minute's calls in a bucket that is filled all the time."""

    def __init__(self, calls: int) -> None:
        self._calls = float(calls)
        self._tokens = float(calls)
        self._filled = 0.0

    def left(self, now: float) -> int:
        """As FixedWindow.left."""
        self._tokens = min(self._calls, self._tokens + (now - self._filled) * self._calls / MINUTE)
        self._filled = now
        return int(self._tokens + 1e-9)

    def take(self, now: float, wanted: int = 1) -> int:
        """As FixedWindow.take."""
        taken = min(wanted, self.left(now))
        self._tokens -= taken
        return taken

    def seconds_to_next(self, now: float) -> int:
        """As FixedWindow.seconds_to_next; a token is never more than a second away here."""
        return 1


LIMITS: dict[str, type[FixedWindow] | type[TokenBucket]] = {"window": FixedWindow, "bucket": TokenBucket}
