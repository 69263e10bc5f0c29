"""Whose turn the next attempt is, the present credential's or a newly sealed one's, and what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpsd.daemon.turns import Turns
from dpsd.errors import Problem
from dpsd.provisioning.publish import prepare_folders
from dpsd.state.messages import Carry
from dpsd.state.places import Places
from dpsd.state.record import Record
from dpsd.state.trial import PRESENT
from tests.unit.examples import RECORD

REFUSED, OFFLINE = Problem("dps-unauthorized", "no"), Problem("no-answer", "nobody")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Where a candidate waits."""
    found = Places((), f"{tmp_path}/state", f"{tmp_path}/run")
    prepare_folders(found)
    Path(found.candidate).touch()
    return found


def is_candidates(turns: Turns, record: Record | None = None) -> bool:
    """Take a turn; tell whether it is the candidate's."""
    return turns.take(record, first=False).trial != PRESENT


def test_the_candidate_follows_once_the_device_is_ready_and_again_after_a_refusal(places: Places) -> None:
    turns, record = Turns(places), RECORD._replace(inputs={places.sealed: {}})
    assert not is_candidates(turns, record)
    assert turns.hold(record)
    assert is_candidates(turns, record)
    for problem in (REFUSED, OFFLINE, REFUSED):
        assert not turns.fail(problem, record)
        assert is_candidates(turns, record)


def test_where_the_present_one_is_refused_they_take_turns(places: Places) -> None:
    turns = Turns(places)
    seen = [(is_candidates(turns), turns.fail(REFUSED, None)) for _ in range(4)]
    assert seen == [(False, True), (True, False)] * 2


def test_a_network_that_is_down_is_nobodys_turn(places: Places) -> None:
    turns = Turns(places)
    assert not is_candidates(turns)
    assert not turns.fail(OFFLINE, None)
    assert not is_candidates(turns)


def test_where_the_present_one_cannot_be_opened_for_now_they_take_turns(places: Places) -> None:
    turns, problem = Turns(places), Problem("key-source-failed", "no answer")
    seen = [(is_candidates(turns), turns.fail(problem, None)) for _ in range(4)]
    assert seen == [(False, True), (True, False)] * 2


def test_what_is_forced_or_changed_is_the_present_ones(places: Places) -> None:
    turns, record = Turns(places), RECORD._replace(inputs={places.sealed: {}})
    turns.hold(record)
    turns.forced = True
    assert not is_candidates(turns, record)
    turns.forced = False
    turns.begin_anew()
    assert not is_candidates(turns, record)


def test_what_an_attempt_left_is_not_for_the_other_credential(places: Places) -> None:
    turns = Turns(places)
    turns.carry = Carry(operation_id="5.a", transport="websocket")
    assert turns.take(None, first=True).carry == turns.carry
    turns.fail(REFUSED, None)
    assert turns.take(None, first=False).carry == Carry(transport="websocket")


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (Carry(operation_id="5.a", transport="websocket"), Carry()),
        (Carry(check_hub=True, refused_since=7), Carry(check_hub=True, refused_since=7)),
    ],
)
def test_a_success_leaves_only_a_hub_that_is_still_to_be_tried(places: Places, left: Carry, kept: Carry) -> None:
    turns = Turns(places)
    turns.carry, turns.forced = left, True
    turns.settle()
    assert (turns.carry, turns.forced, turns.hold(RECORD)) == (kept, False, kept.check_hub)


def test_a_hub_that_a_candidate_leaves_to_be_tried_is_tried(places: Places) -> None:
    turns, record = Turns(places), RECORD._replace(inputs={places.sealed: {}})
    turns.hold(record)
    assert is_candidates(turns, record)
    turns.carry = Carry(check_hub=True)
    turns.settle()
    Path(places.candidate).unlink()  # it was promoted
    assert turns.hold(record) and turns.take(record, first=False).carry == Carry(check_hub=True)


def test_another_store_has_no_candidate(places: Places) -> None:
    turns = Turns(places)
    assert not turns.hold(RECORD) and not turns.fail(REFUSED, RECORD)
