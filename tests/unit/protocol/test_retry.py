"""How long to wait before the next attempt."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import NOT_FAILED, PROBLEMS, Problem, Retry
from dpsd.protocol.retry import Failures, choose_delay

CODES = {kind.retry: code for code, kind in PROBLEMS.items()}
LADDERS = {
    Retry.NETWORK: (2, 4, 300),
    Retry.SERVICE: (5, 10, 300),
    Retry.THROTTLED: (5, 60, 1800),
    Retry.CLOCK: (1, 2, 60),
    Retry.REFUSED: (300, 600, 21_600),
}
FAILURES = st.integers(1, 10**9)
FRACTIONS = st.floats(0, 1, exclude_max=True)
ASKED = st.none() | st.integers(0, 86_400)
WINDOWS = st.integers(0, 86_400)
ALMOST_ONE = 1 - 2**-53


def delay_of(
    retry: Retry, failures: int, fraction: float, retry_after: float | None = None, window: float = 0
) -> float:
    seconds = choose_delay(Problem(CODES[retry], "said", retry_after=retry_after, window=window), failures, fraction)
    assert seconds is not None
    return seconds


@pytest.mark.parametrize("retry", LADDERS)
@given(failures=FAILURES, fraction=FRACTIONS)
def test_a_delay_stays_within_the_bounds_of_its_class(retry: Retry, failures: int, fraction: float) -> None:
    shortest, _, longest = LADDERS[retry]
    assert shortest <= delay_of(retry, failures, fraction) <= longest


@pytest.mark.parametrize("retry", LADDERS)
def test_the_ceiling_doubles_up_to_its_bound(retry: Retry) -> None:
    _, first, longest = LADDERS[retry]
    ceilings = [delay_of(retry, failures, ALMOST_ONE) for failures in range(1, 12)]
    assert ceilings == pytest.approx([min(longest, first * 2**doublings) for doublings in range(11)])


@pytest.mark.parametrize("retry", LADDERS)
@given(failures=FAILURES, fraction=FRACTIONS)
def test_the_jitter_is_full(retry: Retry, failures: int, fraction: float) -> None:
    low, high = delay_of(retry, failures, 0), delay_of(retry, failures, ALMOST_ONE)
    assert low == LADDERS[retry][0]
    assert delay_of(retry, failures, fraction) == pytest.approx(low + fraction * (high - low))


@pytest.mark.parametrize("retry", LADDERS)
@given(failures=FAILURES, fraction=FRACTIONS, asked=st.integers(0, 86_400), window=WINDOWS)
def test_the_service_is_never_undercut(retry: Retry, failures: int, fraction: float, asked: int, window: float) -> None:
    assert delay_of(retry, failures, fraction, asked, window) >= max(asked, LADDERS[retry][0])


@pytest.mark.parametrize("retry", LADDERS)
@given(failures=FAILURES, asked=st.integers(1, 86_400))
def test_those_told_the_same_do_not_come_back_together(retry: Retry, failures: int, asked: int) -> None:
    shortest = LADDERS[retry][0]
    spread = delay_of(retry, failures, ALMOST_ONE, asked) - delay_of(retry, failures, 0, asked)
    assert spread == pytest.approx(max(delay_of(retry, failures, ALMOST_ONE) - shortest, max(asked, shortest) / 10))


@pytest.mark.parametrize("retry", LADDERS)
@given(failures=st.integers(1, 10**6), fraction=FRACTIONS, asked=ASKED, window=WINDOWS)
def test_another_failure_never_shortens_the_wait(
    retry: Retry, failures: int, fraction: float, asked: int | None, window: float
) -> None:
    assert delay_of(retry, failures, fraction, asked, window) <= delay_of(retry, failures + 1, fraction, asked, window)


@given(failures=FAILURES, fraction=FRACTIONS, window=WINDOWS)
def test_only_the_throttled_spread_over_a_third_of_the_window(failures: int, fraction: float, window: int) -> None:
    for retry in LADDERS.keys() - {Retry.THROTTLED}:
        assert delay_of(retry, failures, fraction, None, window) == delay_of(retry, failures, fraction)
    longest = delay_of(Retry.THROTTLED, failures, ALMOST_ONE, None, window)
    assert longest == pytest.approx(max(window / 3, delay_of(Retry.THROTTLED, failures, ALMOST_ONE)))


@given(fraction=FRACTIONS, asked=ASKED, window=WINDOWS)
def test_the_first_attempts_are_spread_over_the_window_alone(fraction: float, asked: int | None, window: int) -> None:
    assert delay_of(Retry.SERVICE, 0, fraction, asked, window) == (asked or 0) + fraction * window


def test_a_wrong_configuration_waits_for_a_change() -> None:
    assert choose_delay(Problem("configuration-invalid", "said", retry_after=3), 1, 0.5) is None
    assert set(CODES) == {*LADDERS, Retry.CONFIGURATION}


@given(codes=st.lists(st.sampled_from(sorted(PROBLEMS)), max_size=30), last=st.sampled_from(sorted(PROBLEMS)))
def test_failures_are_counted_for_each_class_and_a_wait_for_ones_turn_is_none(codes: list[str], last: str) -> None:
    failures = Failures()
    for code in codes:
        failures = failures.after(Problem(code, "said"))
    counted = Counter(PROBLEMS[code].retry for code in codes if code not in NOT_FAILED)
    assert failures._asdict() == {retry.value: counted[retry] for retry in Retry}
    assert failures.of(Problem(last, "said")) == (0 if last in NOT_FAILED else counted[PROBLEMS[last].retry])
