"""The present credential and a newly sealed one, and whose turn it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpsd.errors import Problem
from dpsd.places import Places
from dpsd.publish import prepare_folders
from dpsd.record import Record
from dpsd.turns import Turns
from tests.unit.examples import RECORD

REFUSED, OFFLINE = Problem("dps-unauthorized", "no"), Problem("no-answer", "nobody")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Where a candidate waits."""
    found = Places((), f"{tmp_path}/state", f"{tmp_path}/run")
    prepare_folders(found)
    Path(found.candidate).touch()
    return found


def taken(turns: Turns, record: Record | None, *, forced: bool) -> tuple[bool, bool]:
    """Take a turn: whether it is another one's than the last, and whether it is the candidate's."""
    return turns.take(record, forced=forced), turns.candidate


def test_the_candidate_follows_once_the_device_is_ready_and_again_after_a_refusal(places: Places) -> None:
    turns, record = Turns(places), RECORD._replace(inputs={places.sealed: {}})
    assert taken(turns, record, forced=False) == (False, False)
    assert turns.hold(record)
    assert taken(turns, record, forced=False) == (True, True)
    for problem in (REFUSED, OFFLINE, REFUSED):
        assert not turns.fail(problem, record)
        assert taken(turns, record, forced=False) == (False, True)


def test_where_the_present_one_is_refused_they_take_turns(places: Places) -> None:
    turns, seen = Turns(places), []
    for _ in range(4):
        turns.take(None, forced=False)
        seen.append((turns.candidate, turns.fail(REFUSED, None)))
    assert seen == [(False, True), (True, False)] * 2


def test_a_network_that_is_down_is_nobodys_turn(places: Places) -> None:
    turns = Turns(places)
    turns.take(None, forced=False)
    assert not turns.fail(OFFLINE, None)
    assert taken(turns, None, forced=False) == (False, False)


def test_what_is_forced_or_changed_is_the_present_ones(places: Places) -> None:
    turns, record = Turns(places), RECORD._replace(inputs={places.sealed: {}})
    turns.hold(record)
    assert taken(turns, record, forced=True) == (False, False)
    turns.begin_anew()
    assert taken(turns, record, forced=False) == (False, False)


def test_another_store_has_no_candidate(places: Places) -> None:
    turns = Turns(places)
    assert not turns.hold(RECORD) and not turns.fail(REFUSED, RECORD)
