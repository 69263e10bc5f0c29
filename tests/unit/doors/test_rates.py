"""How often a user may ask, on paper: a burst of 100, then 10 a second, a wait of 10 s, and then no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dpsd.doors.rates import BURST, PATIENCE, RATE, Rates

UID, OTHER = 1000, 1001


def asked(rates: Rates, times: int, now: float, uid: int = UID) -> tuple[Rates, list[float]]:
    waits = []
    for _ in range(times):
        rates, wait = rates.take(uid, now)
        waits.append(wait)
    return rates, waits


def test_a_burst_does_not_wait_and_what_follows_comes_at_the_rate() -> None:
    rates, waits = asked(Rates(), 103, 50.0)
    assert waits[:BURST] == [0.0] * BURST
    assert [round(wait, 6) for wait in waits[BURST:]] == [0.1, 0.2, 0.3]
    assert rates.take(UID, 51.0)[1] == 0


def test_who_would_wait_longer_is_refused_and_pays_nothing_for_it() -> None:
    rates, _ = asked(Rates(), BURST + int(PATIENCE * RATE), 50.0)
    again, wait = rates.take(UID, 50.0)
    assert wait > PATIENCE and again == rates
    assert rates.take(UID, 50.0 + (wait - PATIENCE) + 1e-6)[1] <= PATIENCE


def test_each_user_has_a_burst_of_its_own() -> None:
    rates, _ = asked(Rates(), 150, 50.0)
    assert rates.take(OTHER, 50.0)[1] == 0


def test_a_user_that_rests_is_forgotten_and_has_the_whole_burst_again() -> None:
    rates, _ = asked(Rates(), BURST, 50.0)
    rates, _ = rates.take(OTHER, 50.0 + PATIENCE + 0.1)
    assert set(rates.paid_at) == {OTHER}
    assert asked(rates, BURST, 61.0)[1] == [0.0] * BURST


@given(st.lists(st.floats(0, 3), max_size=400))
def test_never_more_than_the_burst_and_the_rate(pauses: list[float]) -> None:
    rates, now, served = Rates(), 0.0, []
    for pause in pauses:
        now += pause / 10
        rates, wait = rates.take(UID, now)
        if wait <= PATIENCE:
            served.append(now + wait)
    for first, moment in enumerate(served):
        span = [one for one in served[first:] if one <= moment + 1]
        assert len(span) <= BURST + RATE + 1
