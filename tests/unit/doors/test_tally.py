"""What the journal gets of a door: one line for whoever is new, then a count for each minute."""

from __future__ import annotations

from dpsd.doors.tally import Tally


def test_the_first_is_told_at_once_and_the_others_are_counted() -> None:
    tally, lines = Tally().note("token for uid 1, a.service", 0, ", for 300 s")
    assert lines == ["token for uid 1, a.service, for 300 s"]
    for second in range(1, 6):
        tally, lines = tally.note("token for uid 1, a.service", second, ", for 300 s")
        assert lines == []
    tally, lines = tally.note("token for uid 2, no service", 6)
    assert lines == ["token for uid 2, no service"]
    assert tally.flush(59) == (tally, [])
    tally, lines = tally.flush(60)
    assert lines == ["token for uid 1, a.service: 5 more times"]
    assert tally.flush(119)[1] == []


def test_who_was_quiet_for_a_minute_is_new_again() -> None:
    tally, _ = Tally().note("token for uid 1, a.service", 0)
    tally, lines = tally.flush(60)
    assert (tally, lines) == (Tally(), [])


def test_at_the_end_all_counts_are_told() -> None:
    tally, _ = Tally().note("token for uid 1, a.service", 0)
    tally, _ = tally.note("token for uid 1, a.service", 1)
    assert tally.flush(2, 0)[1] == ["token for uid 1, a.service: 1 more times"]
