"""How near the end of the device's certificate is, by the wall clock. Floor 2.

A clock that says a moment before the certificate's first day is wrong, and judges nothing. One that is merely late
makes a warning late; the next look after it was set makes up for that.
"""

from __future__ import annotations

from typing import NamedTuple

from dpsd.clock import rfc3339
from dpsd.errors import Problem
from dpsd.record import Validity

THRESHOLDS = (1, 7, 30)
"""Days before the end at which people are told, each time once."""
_DAY = 24 * 3600


class Nearing(NamedTuple):
    """threshold: the days of `THRESHOLDS` that have been reached, 0 for a certificate that has expired."""

    threshold: int
    problem: Problem


def nearing(validity: Validity, now: float) -> Nearing | None:
    """Return what is to be said of the certificate, None while there is no need; now: seconds since 1970."""
    days, end = (validity.not_after - now) / _DAY, rfc3339(validity.not_after)
    if now < validity.not_before or days > THRESHOLDS[-1]:
        return None
    if days < 0:
        said = f"the device certificate expired at {end}, the clock says {rfc3339(now)[:10]}"
        return Nearing(0, Problem("certificate-expired", said))
    threshold = next(one for one in THRESHOLDS if days <= one)
    return Nearing(threshold, Problem("certificate-ends-soon", f"the device certificate ends at {end}, {_left(days)}"))


def _left(days: float) -> str:
    return "in less than a day" if days < 1 else f"in {int(days)} day{'s' if days >= 2 else ''}"
