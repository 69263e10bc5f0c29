"""The twin's bodies: read, written and merged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol.hub.twin import Section, Twin, encode_section, encode_twin, merge, parse_section, parse_twin
from tests.unit.examples import JSON_VALUES

PROPERTIES = st.dictionaries(st.text().filter(lambda name: not name.startswith("$")), JSON_VALUES, max_size=4)
SECTIONS = st.builds(Section, PROPERTIES, st.none() | st.integers(0, 2**50))
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers() | st.none() | st.text(max_size=2), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def test_a_recorded_twin_is_read() -> None:
    body = b'{"desired":{"myUselessProperty":"Happy New Year 2020!","$version":15},"reported":{"x":1034,"$version":89}}'
    twin = parse_twin(body)
    assert twin == Twin(Section({"myUselessProperty": "Happy New Year 2020!"}, 15), Section({"x": 1034}, 89))
    assert encode_twin(twin) == body


def test_the_published_notification_is_read() -> None:
    assert parse_section(b'{"telemetryInterval":5,"route":null,"$version":105}') == Section(
        {"telemetryInterval": 5, "route": None}, 105
    )


def test_what_the_hub_adds_is_no_property() -> None:
    assert parse_section(b'{"a":1,"$metadata":{"a":{}},"$version":2}') == Section({"a": 1}, 2)


@given(SECTIONS, SECTIONS)
def test_a_twin_comes_back(desired: Section, reported: Section) -> None:
    assert parse_twin(encode_twin(Twin(desired, reported))) == Twin(desired, reported)
    assert parse_section(encode_section(desired)) == desired


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b'{"desired":{},"reported":1}', b'{"desired":{"$version":"1"},"reported":{}}']
)
def test_what_is_no_twin_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_twin(body)


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}, {"a": {"c": 2, "d": 3}}),
        ({"a": 1}, {"a": {"b": None}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ],
)
def test_a_patch_merges_and_null_deletes(before: Any, patch: Any, after: Any) -> None:
    assert merge(before, patch) == after


@given(OBJECTS, OBJECTS)
def test_a_patch_that_was_merged_changes_nothing_more_and_leaves_no_null_of_its_own(before: Any, patch: Any) -> None:
    once = merge(merge({}, before), patch)
    assert merge(once, patch) == once
    assert "null" not in json.dumps(once)
