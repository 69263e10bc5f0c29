"""What is too much for an IoT Hub is refused before it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from dpsd.protocol.hub import Bag, limits
from tests.unit.examples import problem_of


def nested(levels: int) -> dict[str, Any]:
    """Objects below the section's own, as the page on device twins counts them, around one property."""
    value: dict[str, Any] = {"property": "value"}
    for _ in range(levels):
        value = {"level": value}
    return value


@pytest.mark.parametrize(
    "patch",
    [
        {},
        nested(10),
        {"a": [1, "b", {"c": None}], "é": True},
        {"k" * 1024: 1, "text": "x" * 4096},
        {"least": -4503599627370496, "most": 4503599627370495},
        {f"{number:04}": "x" * 4092 for number in range(8)},
    ],
)
def test_what_the_hub_takes_may_be_reported(patch: dict[str, Any]) -> None:
    limits.check_patch(patch)


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (nested(11), "more than 10 levels"),
        ({"a": {"b": [{"c.d": 1}]}}, "the key 'c.d' is empty, or has a dot"),
        ({"": 1}, "the key '' is empty"),
        ({"$version": 1}, "the key '$version' is empty, or has a dot, $, space"),
        ({"a b": 1}, "space"),
        ({"a\x85": 1}, "control character"),
        ({"\ud800": 1}, "is not Unicode text"),
        ({"é" * 513: 1}, "has 1026 bytes, 1024 are allowed"),
        ({"a": {"b": "é" * 2049}}, "a.b: a text of 4098 bytes, 4096 are allowed"),
        ({"a": "\ud800"}, "is not Unicode text"),
        ({"a": 4503599627370496}, "a: an integer outside -4503599627370496 to 4503599627370495"),
        ({"a": float("inf")}, "a: a number that JSON does not have"),
        ({"a": float("nan")}, "a: a number that JSON does not have"),
        ({f"{number:04}": "x" * 4092 + "y" * (number == 7) for number in range(8)}, "come to 32769 bytes"),
    ],
)
def test_what_the_hub_does_not_take_is_named(patch: dict[str, Any], said: str) -> None:
    assert said in problem_of("hub-message-invalid", lambda: limits.check_patch(patch)).sentence


@pytest.mark.parametrize(
    ("value", "size"),
    [(None, 0), (True, 4), (1, 8), (1.5, 8), ("aé\n\x85", 2), ({"ab": {"c": True}, "gone": None}, 7), ([1, "a"], 9)],
)
def test_a_section_is_measured_as_its_page_says(value: Any, size: int) -> None:
    assert limits.measure_section(value) == size


def test_a_message_may_have_256_kilobytes() -> None:
    limits.check_message(bytes(256 * 1024))
    problem_of("hub-message-invalid", lambda: limits.check_message(bytes(256 * 1024 + 1)))


def test_an_answer_may_have_128_kilobytes_and_a_status_of_32_bits() -> None:
    limits.check_method_answer(-(2**31), bytes(128 * 1024))
    problem_of("hub-message-invalid", lambda: limits.check_method_answer(200, bytes(128 * 1024 + 1)))
    problem_of("hub-message-invalid", lambda: limits.check_method_answer(2**31, b""))


def test_a_topic_may_have_what_mqtt_can_measure() -> None:
    limits.check_topic("x" * 65_535)
    problem_of("hub-message-invalid", lambda: limits.check_topic("x" * 65_534 + "é"))


@pytest.mark.parametrize("bag", [{"": "a"}, {"a": "\ud800"}, {"\udcff": None}])
def test_a_property_has_a_name_and_is_text(bag: Bag) -> None:
    problem_of("hub-message-invalid", lambda: limits.check_bag(bag))
