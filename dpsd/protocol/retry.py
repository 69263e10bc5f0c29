"""How long to wait after a failed attempt. Floor 1; randomness comes in as an argument.

Full jitter (a uniform draw up to a ceiling that doubles) spreads a fleet that lost its network together; the service's
own retry-after wins over the ladder, with a little jitter on top so that the devices told the same do not return
together. A problem of the configuration class has no delay: it waits for a file to change.
"""

from __future__ import annotations

from typing import NamedTuple

from dpsd.errors import Problem, Retry


class Ladder(NamedTuple):
    """Seconds: the shortest delay, and the longest one that the doubling ceiling reaches."""

    shortest: float
    longest: float


LADDERS = {
    Retry.NETWORK: Ladder(2, 300),
    Retry.SERVICE: Ladder(5, 300),
    Retry.THROTTLED: Ladder(5, 300),
    Retry.CLOCK: Ladder(1, 60),
    Retry.REFUSED: Ladder(300, 6 * 3600),
}
SPREAD = 0.1
"""The part of a retry-after that is added as jitter."""
_DOUBLINGS = 16
"""Past this many failures in a row every ladder has reached its longest delay."""


def delay(problem: Problem, failures: int, fraction: float) -> float | None:
    """Return seconds until the next attempt, None to wait for a change.

    failures: failed attempts in a row with problems of this retry class, at least 1. fraction: uniform in [0, 1).
    """
    ladder = LADDERS.get(problem.kind.retry)
    if ladder is None:
        return None
    if problem.retry_after is not None:
        return max(ladder.shortest, problem.retry_after * (1 + SPREAD * fraction))
    ceiling = min(ladder.longest, ladder.shortest * float(2 ** min(failures, _DOUBLINGS)))
    return ladder.shortest + fraction * (ceiling - ladder.shortest)
