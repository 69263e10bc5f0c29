"""How often a user may ask: a burst, then a steady rate; what comes faster waits, and what would wait long is refused.

A pure value: each user has one moment, at which all that it has asked for is paid at the steady rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

BURST = 100
RATE = 10
"""Requests a second, after the burst."""
PATIENCE = 10.0
"""Seconds that a request waits for its turn at most. Also what a user's burst needs to be whole again."""


class Rates(NamedTuple):
    """paid_at: by user id, the moment of the monotonic clock; those in the past are as good as none."""

    paid_at: Mapping[int, float] = {}

    def take(self, uid: int, now: float) -> tuple[Rates, float]:
        """Take one turn; return what is known then, and the seconds to wait for the turn.

        Where that is more than PATIENCE nothing was taken: the request is to be refused.
        """
        paid_at = max(self.paid_at.get(uid, now), now) + 1 / RATE
        wait = max(0.0, round(paid_at - now - BURST / RATE, 6))  # free of what floats add up to
        if wait > PATIENCE:
            return self, wait
        others = {other: moment for other, moment in self.paid_at.items() if moment > now}
        return Rates({**others, uid: paid_at}), wait
