"""How long to wait after a failed attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import PROBLEMS, Problem, Retry
from dpsd.protocol.retry import delay

CODES = {kind.retry: code for code, kind in PROBLEMS.items()}
BOUNDS = {
    Retry.NETWORK: (2, 300),
    Retry.SERVICE: (5, 300),
    Retry.THROTTLED: (5, 300),
    Retry.CLOCK: (1, 60),
    Retry.REFUSED: (300, 21_600),
}
FRACTIONS = st.floats(0, 1, exclude_max=True)


def delay_of(retry: Retry, failures: int, fraction: float, retry_after: float | None = None) -> float:
    seconds = delay(Problem(CODES[retry], "said", retry_after=retry_after), failures, fraction)
    assert seconds is not None
    return seconds


@pytest.mark.parametrize("retry", BOUNDS)
@given(failures=st.integers(1, 10**6), fraction=FRACTIONS)
def test_a_delay_stays_within_the_bounds_of_its_class(retry: Retry, failures: int, fraction: float) -> None:
    shortest, longest = BOUNDS[retry]
    assert shortest <= delay_of(retry, failures, fraction) <= longest


@pytest.mark.parametrize("retry", BOUNDS)
def test_the_longest_delay_doubles_up_to_its_bound(retry: Retry) -> None:
    shortest, longest = BOUNDS[retry]
    almost = 1 - 2**-53
    ceilings = [delay_of(retry, failures, almost) for failures in range(1, 12)]
    assert ceilings == pytest.approx([min(longest, shortest * 2**failures) for failures in range(1, 12)])


@pytest.mark.parametrize("retry", BOUNDS)
def test_the_shortest_delay_stays_the_same(retry: Retry) -> None:
    assert {delay_of(retry, failures, 0) for failures in (1, 5, 10**9)} == {BOUNDS[retry][0]}


@given(retry_after=st.integers(5, 86_400), failures=st.integers(1, 100), fraction=FRACTIONS)
def test_a_retry_after_wins_over_the_ladder(retry_after: int, failures: int, fraction: float) -> None:
    seconds = delay_of(Retry.SERVICE, failures, fraction, retry_after)
    assert seconds == pytest.approx(retry_after * (1 + 0.1 * fraction))


@pytest.mark.parametrize("retry", BOUNDS)
def test_a_retry_after_never_shortens_the_shortest_delay(retry: Retry) -> None:
    assert delay_of(retry, 1, 0.5, retry_after=0) == BOUNDS[retry][0]


def test_a_wrong_configuration_waits_for_a_change() -> None:
    assert delay(Problem("configuration-invalid", "said", retry_after=3), 1, 0.5) is None
    assert set(CODES) == {*BOUNDS, Retry.CONFIGURATION}
