"""The `k=v&k=v` form of topics and usernames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.protocol.query import encode_query, parse_query
from tests.unit.examples import ANY_TEXT

NAMES = st.from_regex(r"[$A-Za-z][A-Za-z-]*", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("$rid=1&retry-after=3", {"$rid": "1", "retry-after": "3"}),
        ("$rid=&x", {"$rid": "", "x": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a=%2Fb%2f", {"a": "/b/"}),
        ("%61=1+2", {"a": "1+2"}),
        ("a=1&a=2", {"a": "1"}),
        ("=1&&a=2", {"a": "2"}),
        ("a=%zz%ff", {"a": "%zz\ufffd"}),
    ],
)
def test_a_query_is_read_as_devices_and_services_write_it(text: str, fields: dict[str, str]) -> None:
    assert parse_query(text) == fields


@given(st.dictionaries(NAMES, st.text()))
def test_encoded_fields_are_parsed_back(fields: dict[str, str]) -> None:
    text = encode_query(fields)
    assert parse_query(text) == fields
    assert text.isascii() and "/" not in text and "+" not in text and "#" not in text


@given(ANY_TEXT)
def test_any_text_is_a_query(text: str) -> None:
    fields = parse_query(text)
    assert "" not in fields
    assert len(fields) <= text.count("&") + 1
