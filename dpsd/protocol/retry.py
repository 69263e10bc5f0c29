"""How long to wait before the next attempt. randomness comes in as an argument.

A wait is the least that is allowed, the service's own retry-after or the class's shortest, and full jitter on top: a
uniform draw below a ceiling that doubles with every failure in a row. So devices that failed together, or were told
the same, do not come back together. A problem of the configuration class has no delay: it waits for a file to change.

The numbers are those of docs/decisions/0016-retries-of-a-fleet.md; `./dev simulate` shows what they do.
"""

from __future__ import annotations

from typing import NamedTuple

from dpsd.errors import Problem, Retry


class Ladder(NamedTuple):
    """Seconds: the shortest delay, the ceiling after the first failure, and the highest ceiling."""

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
"""The part of a retry-after that is added as jitter at least, however few failures there were."""
THROTTLED_PART = 1 / 3
"""The part of the fleet's window that a throttled device's ceiling is at least."""
_DOUBLINGS = 16
"""After this many doublings every ladder has reached its highest ceiling."""


def choose_delay(problem: Problem, failures: int, fraction: float) -> float | None:
    """Return seconds until the next attempt, None to wait for a change.

    failures: failed attempts in a row with problems of this retry class; 0 where nothing has failed and the device
    only waits for its turn or its clock. fraction: uniform in [0, 1).
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
