"""Whatever the network can send and a file can hold ends in a value or in a named problem."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.strategies import conversation, inputs, replies
from tests.fuzz.targets import CORPUS, TARGETS

FUZZING = settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_every_corpus_has_its_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(TARGETS)


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_kept_input_ends_well(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@FUZZING
@given(data=st.data())
def test_any_input_ends_well(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(inputs(name)))


@FUZZING
@given(conversation(replies()))
def test_any_conversation_ends_well(messages: bytes) -> None:
    TARGETS["registration"](messages)
