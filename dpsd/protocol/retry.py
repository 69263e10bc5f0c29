"""How long to wait before the next attempt; randomness comes in as an argument.

A delay is the larger of the service's retry-after and the class's shortest delay, with full jitter on top: a uniform
draw below a ceiling that doubles with every failure in a row. So devices that failed together, or got the same
retry-after, do not come back together. A problem of the configuration class has no delay: it waits for a file to
change.

The numbers are from docs/decisions/0016-retries-of-a-fleet.md; `./dev simulate` shows their effect.
"""

from __future__ import annotations

from typing import NamedTuple

from dpsd.errors import NOT_FAILED, Problem, Retry


class Failures(NamedTuple):
    """How many attempts in a row have failed, for each retry class by its name."""

    network: int = 0
    service: int = 0
    throttled: int = 0
    refused: int = 0
    clock: int = 0
    configuration: int = 0

    def after(self, problem: Problem) -> Failures:
        """Return the failures with this problem among them, unless it is one of `NOT_FAILED`."""
        before = self.of(problem)
        return self if problem.code in NOT_FAILED else self._replace(**{problem.kind.retry.value: before + 1})

    def of(self, problem: Problem) -> int:
        """Return how many have failed with problems of this one's class, 0 where this one says that none has."""
        return 0 if problem.code in NOT_FAILED else int(getattr(self, problem.kind.retry.value))


class Ladder(NamedTuple):
    """A class's delays, in seconds: the shortest, the ceiling after the first failure, and the highest ceiling."""

    shortest: float
    first: float
    longest: float


LADDERS = {
    Retry.NETWORK: Ladder(2, 4, 300),
    Retry.SERVICE: Ladder(5, 10, 300),
    Retry.THROTTLED: Ladder(5, 60, 1800),
    Retry.CLOCK: Ladder(1, 2, 60),
    Retry.REFUSED: Ladder(300, 600, 6 * 3600),
}
JITTER = 0.1
"""The least jitter, as a part of the retry-after."""
THROTTLED_PART = 1 / 3
"""The lowest ceiling of a throttled device, as a part of the fleet's window."""
_DOUBLINGS = 16
"""After this many doublings every ladder has reached its highest ceiling."""


def choose_delay(problem: Problem, failures: int, fraction: float) -> float | None:
    """Return the seconds until the next attempt; None to wait for a change instead.

    failures: what `Failures.of` returns after this problem; 0 if nothing has failed and the device only waits for its
    turn or its clock. fraction: a random number, uniform in [0, 1).
    """
    ladder = LADDERS.get(problem.kind.retry)
    if ladder is None:
        return None
    asked = problem.retry_after or 0
    if failures == 0:
        return asked + fraction * problem.window
    least = max(ladder.shortest, asked)
    return least + fraction * max(_ceiling(problem, ladder, failures) - ladder.shortest, JITTER * least)


def _ceiling(problem: Problem, ladder: Ladder, failures: int) -> float:
    ceiling = min(ladder.longest, ladder.first * 2.0 ** min(failures - 1, _DOUBLINGS))
    return max(ceiling, THROTTLED_PART * problem.window) if problem.kind.retry is Retry.THROTTLED else ceiling
