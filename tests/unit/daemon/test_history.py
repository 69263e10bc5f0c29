"""The last outcomes, kept small and seldom written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dpsd.daemon.history import INTERVAL, SIZE_LIMIT, History
from dpsd.errors import PROBLEMS, Problem
from dpsd.state.places import Places
from tests.unit.examples import problem_of

REFUSED = Problem("dps-unauthorized", "DPS answered 401")
LOST = Problem("connection-lost", "the endpoint closed the connection")


def written(places: Places) -> list[tuple[str, str]]:
    """Code and sentence of each outcome on disk."""
    document: dict[str, Any] = json.loads(Path(places.state.history).read_bytes())
    assert document["version"] == 1
    return [(outcome["code"], outcome["sentence"]) for outcome in document["outcomes"]]


def note(places: Places, problem: Problem) -> None:
    """What a start that meets `problem` leaves on disk."""
    history = History(places.state)
    history.failed(problem)
    history.flush()


def test_an_outcome_is_written_and_found_by_the_next_start(places: Places) -> None:
    note(places, REFUSED)
    history = History(places.state)
    history.succeeded()
    history.flush()
    assert written(places) == [
        ("dps-unauthorized", "DPS answered 401"),
        ("provisioned", "the IoT Hub connection is on disk"),
    ]
    assert os.stat(places.state.history).st_mode & 0o777 == 0o644


def test_an_outcome_that_repeats_is_not_written_again(places: Places) -> None:
    note(places, REFUSED)
    before = os.stat(places.state.history).st_ino
    for sentence in ("once more", "and again"):
        note(places, Problem(REFUSED.code, sentence))
    assert os.stat(places.state.history).st_ino == before
    assert written(places) == [("dps-unauthorized", "DPS answered 401")]


def test_a_second_change_waits_for_its_hour(places: Places) -> None:
    history = History(places.state)
    assert history.seconds_until_due() is None
    history.failed(REFUSED)
    assert history.seconds_until_due() == 0
    history.flush()
    history.failed(LOST)
    history.flush()
    assert [code for code, _ in written(places)] == ["dps-unauthorized"]
    due = history.seconds_until_due()
    assert due is not None and INTERVAL - 60 < due <= INTERVAL == 3600


def test_a_problem_that_passed_within_the_hour_needs_no_write(places: Places) -> None:
    history = History(places.state)
    for problem in (REFUSED, LOST, REFUSED):
        history.failed(problem)
        history.flush()
    assert history.seconds_until_due() is None


def test_a_disk_that_takes_nothing_is_asked_again_in_an_hour(places: Places) -> None:
    os.mkdir(places.state.history)
    history = History(places.state)
    history.failed(REFUSED)
    problem_of("state-unwritable", history.flush)
    history.flush()
    due = history.seconds_until_due()
    assert due is not None and due > INTERVAL - 60


def test_the_oldest_outcomes_go_when_the_file_is_full(places: Places) -> None:
    codes = sorted(PROBLEMS)
    for _ in range(2):
        for code in codes:
            note(places, Problem(code, f"{code} " + "x" * 150))
    found = written(places)
    assert SIZE_LIMIT - 400 < os.path.getsize(places.state.history) <= SIZE_LIMIT
    assert [code for code, _ in found] == (codes * 2)[-len(found) :]


def test_an_outcome_that_is_too_large_does_no_harm(places: Places) -> None:
    note(places, Problem("no-answer", "x" * SIZE_LIMIT))
    note(places, REFUSED)
    assert written(places) == [("dps-unauthorized", "DPS answered 401")]


@pytest.mark.parametrize(
    "text", [b"", b"no json", b"[]", b'{"outcomes":7}', b'{"outcomes":[7]}', b'{"outcomes":[{}]}', b"x" * 9000]
)
def test_a_history_that_cannot_be_read_is_begun_anew(places: Places, text: bytes) -> None:
    Path(places.state.history).write_bytes(text)
    note(places, REFUSED)
    assert written(places) == [("dps-unauthorized", "DPS answered 401")]
