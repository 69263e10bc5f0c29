"""The wait between two attempts: how long it is told to be, and what ends it."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.configuration.observed import signature
from dpsd.daemon.wait import RECHECK_INTERVAL, Wait
from dpsd.errors import Problem
from dpsd.protocol.retry import LADDERS

LOST, REFUSED = Problem("connection-lost", ""), Problem("dps-unauthorized", "")
NOT_SYNCHRONIZED, MISSING = Problem("clock-not-synchronized", ""), Problem("credential-missing", "")


@pytest.fixture
def wait() -> Iterator[Wait]:
    with selectors.DefaultSelector() as selector:
        wait = Wait(selector)
        yield wait
        wait.end()
        assert len(selector.get_map()) == 0


def seconds_to_its_moment(wait: Wait) -> float:
    assert wait.moment is not None
    return wait.moment - time.monotonic()


@pytest.mark.parametrize(("code", "by_the_clock"), [("credential-missing", True), ("token-pin-refused", False)])
def test_a_refused_pin_is_not_tried_again_after_a_while(wait: Wait, code: str, by_the_clock: bool) -> None:
    assert wait.begin(Problem(code, "")) is None
    assert (wait.moment is not None) == by_the_clock


def test_what_is_tried_at_once_is_not_told_to_wait_for_a_change(wait: Wait) -> None:
    assert wait.begin(MISSING, at_once=True) == 0
    assert seconds_to_its_moment(wait) <= 0


def test_files_are_judged_again_after_a_while_although_a_change_is_what_is_told(wait: Wait) -> None:
    assert wait.begin(MISSING) is None
    assert wait.seconds_left() is None
    assert RECHECK_INTERVAL - 60 < seconds_to_its_moment(wait) <= RECHECK_INTERVAL


def test_what_is_left_is_what_was_told(wait: Wait) -> None:
    told, left = wait.begin(REFUSED), wait.seconds_left()
    assert told is not None and left is not None
    assert told - 60 < left <= told
    assert seconds_to_its_moment(wait) <= told


def test_each_class_counts_its_own_failures(wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: b"\xff" * size)  # the most that may be drawn
    network, refused = LADDERS[LOST.kind.retry], LADDERS[REFUSED.kind.retry]
    told = [wait.begin(problem) for problem in (LOST, LOST, REFUSED, LOST)]
    assert told == pytest.approx([network.first, 2 * network.first, refused.first, 4 * network.first])
    wait.forget_failures()
    assert wait.begin(LOST) == pytest.approx(network.first)


def test_a_wait_for_the_clock_is_no_failure(wait: Wait) -> None:
    assert [wait.begin(NOT_SYNCHRONIZED) for _ in range(3)] == [0, 0, 0]


def test_a_file_that_changed_since_it_was_remembered_or_watched_is_noticed(wait: Wait, tmp_path: Path) -> None:
    remembered, watched = tmp_path / "remembered", tmp_path / "watched"
    for changing in (remembered, watched):
        wait.remember([str(remembered)])
        wait.watch({str(watched): signature(str(watched))})
        assert not wait.files_changed()
        changing.touch()
        assert wait.files_changed()


def test_a_clock_that_is_set_helps_unless_a_pin_was_refused(wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    for problem, helps in ((LOST, True), (Problem("token-pin-refused", ""), False)):
        wait.begin(problem)
        assert wait.clock_was_set() == helps
    wait.remember([])
    wait.begin(LOST)
    assert not wait.clock_was_set()


def test_who_tries_soon_without_a_problem_is_not_idle(wait: Wait) -> None:
    assert wait.is_idle
    wait.try_in(2)
    assert (wait.is_idle, wait.problem, 0 < seconds_to_its_moment(wait) <= 2) == (False, None, True)
    for problem in (MISSING, REFUSED):
        wait.begin(problem)
        wait.end()
        assert wait.is_idle


def test_routes_are_heard_of_only_while_the_network_or_the_clock_is_waited_for() -> None:
    with selectors.DefaultSelector() as selector:
        wait, heard = Wait(selector), []
        for problem in (REFUSED, LOST, NOT_SYNCHRONIZED):
            wait.begin(problem)
            heard.append(len(selector.get_map()))
            wait.end()
        assert (heard, len(selector.get_map())) == ([0, 1, 1], 0)
