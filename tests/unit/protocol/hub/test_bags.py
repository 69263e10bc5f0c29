"""Property bags: what a topic's last part says of a message."""

from __future__ import annotations

import pytest
from hypothesis import given

from dpsd.protocol.hub import Bag, encode_bag, parse_bag
from tests.unit.examples import ANY_TEXT
from tests.unit.protocol.hub.properties import BAGS


@pytest.mark.parametrize(
    ("text", "bag"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("null&empty=", {"null": None, "empty": ""}),
        ("$.ct=application%2Fjson&$.ce=utf-8", {"$.ct": "application/json", "$.ce": "utf-8"}),
        ("%24.mid=1&%24.uid=me", {"$.mid": "1", "$.uid": "me"}),
        ("a=1+1&b=%20", {"a": "1+1", "b": " "}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1&a=2", {"a": "1"}),
        ("a=1/", {"a": "1"}),
        ("/", {}),
        ("&&=1&a", {"a": None}),
        ("a=%ff%zz", {"a": "\ufffd%zz"}),
    ],
)
def test_a_bag_is_read(text: str, bag: Bag) -> None:
    assert parse_bag(text) == bag


@pytest.mark.parametrize(
    ("bag", "text"),
    [
        ({}, ""),
        ({"null": None, "empty": ""}, "null&empty="),
        ({"$.mid": "1", "a b": "c/d+e&f=g#"}, "%24.mid=1&a%20b=c%2Fd%2Be%26f%3Dg%23"),
        ({"é": "~-._"}, "%C3%A9=~-._"),
    ],
)
def test_a_bag_is_written_percent_encoded(bag: Bag, text: str) -> None:
    assert encode_bag(bag) == text


@given(BAGS)
def test_a_bag_comes_back(bag: Bag) -> None:
    assert parse_bag(encode_bag(bag)) == bag


@given(BAGS)
def test_a_bag_fits_into_a_topic_whatever_is_in_it(bag: Bag) -> None:
    text = encode_bag(bag)
    assert text.isascii() and not set(text) & set("/+#\0 ")


@given(ANY_TEXT)
def test_any_text_is_a_bag(text: str) -> None:
    assert "" not in parse_bag(text)
