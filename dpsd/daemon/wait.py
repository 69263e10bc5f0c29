"""The wait between two attempts: for how long, and what ends it early.

Besides the moment that the retry policy gives, four things can end a wait: a watched file that changed, a clock that
was set, a route that came up, and a signal, which is the supervisor's. Files and clock are looked at now and then.
"""

from __future__ import annotations

import os
import selectors
import time

from dpsd.configuration.observed import signature
from dpsd.errors import NOT_FAILED, ONE_TRY, Problem, Retry
from dpsd.protocol.retry import choose_delay
from dpsd.system.clock import clock_offset, was_clock_set
from dpsd.system.journal import INFO, log
from dpsd.system.routes import RouteWatch

LOOK_INTERVAL = 2
"""Seconds between two looks at files and clock."""
RECHECK_INTERVAL = 300
"""Seconds until files are judged again although none changed: a folder above them may have."""
LINK_PAUSE = (1, 5)
"""Seconds, from and to, between a route that comes up and the next attempt: addresses and name servers follow it, and
boards behind one switch do not all start at once."""


class Wait:
    """problem: what is being waited out, if anything."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.problem: Problem | None = None
        self._until: float | None = None
        self._recheck_at: float | None = None
        self._selector = selector
        self._failures: dict[Retry, int] = {}
        self._signatures: dict[str, object] = {}
        self._offset = clock_offset()
        self._links: RouteWatch | None = None

    @property
    def moment(self) -> float | None:
        """When it is over by itself, in seconds of the monotonic clock, None for never."""
        return self._recheck_at if self._until is None else self._until

    @property
    def is_idle(self) -> bool:
        """Whether nothing is waited for."""
        return self.problem is None and self.moment is None

    def begin(self, problem: Problem, *, at_once: bool = False) -> float | None:
        """Start to wait; return for how many seconds, None for a change of a file. at_once: there is something else to
        try, so for none."""
        retry = problem.kind.retry
        failures = 0 if problem.code in NOT_FAILED else self._failures.get(retry, 0) + 1
        if failures:
            self._failures[retry] = failures
        seconds = 0.0 if at_once else choose_delay(problem, failures, _fraction())
        self.problem, self._until = problem, from_now(seconds)
        self._recheck_at = None if problem.code in ONE_TRY else from_now(RECHECK_INTERVAL)
        if retry in (Retry.NETWORK, Retry.CLOCK):
            self._listen()
        return seconds

    def try_in(self, seconds: float) -> None:
        """Wait so long although there is no problem."""
        self._until = from_now(seconds)

    def end(self) -> None:
        """Wait no longer."""
        self.problem = self._until = self._recheck_at = None
        self._stop_listening()

    def forget_failures(self) -> None:
        """The next failure is the first again."""
        self._failures = {}

    def remember(self, paths: list[str]) -> None:
        """Remember what clock and files look like before an attempt reads them."""
        self._offset = clock_offset()
        self._signatures = {path: signature(path) for path in paths}

    def watch(self, signatures: dict[str, object]) -> None:
        """Watch more files, by what they looked like."""
        self._signatures |= signatures

    def seconds_left(self) -> float | None:
        """Return what is left of the seconds that `begin` returned."""
        return None if self._until is None else self._until - time.monotonic()

    def files_changed(self) -> bool:
        return any(signature(path) != seen for path, seen in self._signatures.items())

    def clock_was_set(self) -> bool:
        """Tell whether somebody set the clock, where that can change anything."""
        one_try = self.problem is not None and self.problem.code in ONE_TRY
        return not one_try and was_clock_set(self._offset)

    def hear(self, descriptor: int) -> None:
        """Take what is readable there: a route that comes up shortens the wait, once."""
        if self._links is None or descriptor != self._links.descriptor or not self._links.came_up():
            return
        self._stop_listening()
        shortest, longest = LINK_PAUSE
        soon = time.monotonic() + shortest + (longest - shortest) * _fraction()
        if self._until is not None and soon < self._until:
            self._until = soon
            log(INFO, "a route came up: trying again soon")

    def _listen(self) -> None:
        """Hear of new routes; where the kernel does not let us, the wait is just not shortened."""
        if self._links is not None:
            return
        try:
            self._links = RouteWatch()
        except OSError:
            return
        self._selector.register(self._links.descriptor, selectors.EVENT_READ)

    def _stop_listening(self) -> None:
        if self._links is not None:
            self._selector.unregister(self._links.descriptor)
            self._links.close()
            self._links = None


def from_now(seconds: float | None) -> float | None:
    """Return the moment of the monotonic clock so many seconds from now, None for never."""
    return None if seconds is None else time.monotonic() + seconds


def _fraction() -> float:
    """Return a uniform number in [0, 1); the random module would load OpenSSL."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
