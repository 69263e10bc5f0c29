"""What is said of a certificate's end, by what the clock says."""

from __future__ import annotations

import pytest

from dpsd.daemon.status import nearing
from dpsd.state.record import Validity

DAY = 24 * 3600
BEGIN, END = 1_700_000_000, 1_700_000_000 + 365 * DAY
LIFE = Validity(BEGIN, END)


@pytest.mark.parametrize(
    ("days", "threshold", "said"),
    [
        (30, 30, "certificate-ends-soon: the device certificate ends at 2024-11-13T22:13:20Z, in 30 days"),
        (7.5, 30, "in 7 days"),
        (7, 7, "in 7 days"),
        (1.5, 7, "in 1 day"),
        (1, 1, "in 1 day"),
        (0.1, 1, "in less than a day"),
        (-0.1, 0, "certificate-expired: the device certificate expired at 2024-11-13T22:13:20Z, the clock says 2024-"),
        (-9999, 0, "certificate-expired"),
    ],
)  # fmt: skip
def test_each_threshold_is_reached_once(days: float, threshold: int, said: str) -> None:
    near = nearing(LIFE, END - days * DAY)
    assert near is not None
    assert near.threshold == threshold
    assert said in str(near.problem)


@pytest.mark.parametrize("now", [END - 30.01 * DAY, BEGIN, BEGIN - 1, 0])
def test_far_from_the_end_or_with_a_clock_before_the_beginning_nothing_is_said(now: float) -> None:
    assert nearing(LIFE, now) is None
