"""What may change around the daemon while it waits."""

from __future__ import annotations

import selectors
import time
from pathlib import Path

import pytest

from dpsd.configuration.observed import signature
from dpsd.daemon.changes import Routes, Watched


def test_a_file_that_changed_since_it_was_remembered_or_watched_is_noticed(tmp_path: Path) -> None:
    remembered, other = tmp_path / "remembered", tmp_path / "watched"
    watched = Watched()
    for changing in (remembered, other):
        watched.remember([str(remembered)])
        watched.add({str(other): signature(str(other))})
        assert not watched.files_changed()
        changing.touch()
        assert watched.files_changed()


def test_a_clock_that_was_set_is_noticed_until_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    now, watched = time.time(), Watched()
    assert not watched.clock_was_set()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert watched.clock_was_set()
    watched.remember([])
    assert not watched.clock_was_set()


def test_routes_are_heard_of_while_somebody_wants_that() -> None:
    with selectors.DefaultSelector() as selector:
        routes, heard = Routes(selector), []
        for wanted in (False, True, True, False, False, True, False):
            routes.hear(wanted)
            heard.append(len(selector.get_map()))
        assert heard == [0, 1, 1, 0, 0, 1, 0]
        assert not routes.came_up(0)
