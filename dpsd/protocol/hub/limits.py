"""What an IoT Hub takes at most, and checks of it before anything is sent.

Sources: Microsoft's pages "IoT Hub quotas and throttling" (messages, methods, sections of a twin), "Understand and use
device twins" (keys, values, levels, and how a section is measured) and "Communicate with IoT Hub using MQTT"; MQTT
3.1.1, section 1.5.3 (a topic). Where a page leaves open what counts, the reading that refuses less is taken.

Each check raises Problem `hub-message-invalid`.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from dpsd.errors import Problem
from dpsd.protocol.hub.bags import Bag
from dpsd.text import printable

TOPIC_LIMIT = 65_535
"""Bytes of a topic, with all properties in it."""
MESSAGE_LIMIT = 256 * 1024
"""Bytes of a device-to-cloud message."""
CLOUD_MESSAGE_LIMIT = 64 * 1024
"""Bytes of a cloud-to-device message."""
METHOD_LIMIT = 128 * 1024
"""Bytes of a direct method's payload, and of its answer's."""
SECTION_LIMIT = 32 * 1024
"""What desired properties may come to, and reported ones, as `measure_section` measures them."""
KEY_LIMIT = 1024
"""Bytes of a twin's key."""
TEXT_LIMIT = 4096
"""Bytes of a text in a twin."""
LEVEL_LIMIT = 10
"""Objects in each other, below a section of a twin."""
INTEGER_MIN, INTEGER_MAX = -4503599627370496, 4503599627370495
"""Integers of a twin."""

_NUMBER_SIZE, _BOOLEAN_SIZE = 8, 4
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")
_FORBIDDEN_IN_KEY = re.compile(r"[\0-\x1f\x7f-\x9f.$ ]")


def check_topic(topic: str) -> None:
    """Check a topic that is to be published to."""
    if (size := len(topic.encode())) > TOPIC_LIMIT:
        _refuse(f"the topic, which holds the properties, has {size} bytes, {TOPIC_LIMIT} are allowed")


def check_bag(bag: Bag) -> None:
    """Check the properties of a message, whose length is checked with their topic's."""
    for text in (*bag, *(value for value in bag.values() if value is not None)):
        _check_text(text)
    if "" in bag:
        _refuse("a property has no name")


def check_message(body: bytes) -> None:
    """Check the body of a device-to-cloud message."""
    if len(body) > MESSAGE_LIMIT:
        _refuse(f"the message has {len(body)} bytes, IoT Hub takes {MESSAGE_LIMIT}")


def check_method_answer(status: int, body: bytes) -> None:
    """Check the answer to a direct method."""
    if not -(2**31) <= status < 2**31:
        _refuse(f"the status {status} is no integer of 32 bits")
    if len(body) > METHOD_LIMIT:
        _refuse(f"the answer has {len(body)} bytes, IoT Hub takes {METHOD_LIMIT}")


def check_patch(patch: dict[str, Any]) -> None:
    """Check a change of reported properties: names, values, levels, and that it fits into a section by itself."""
    _check_object(patch, "", LEVEL_LIMIT)
    if (size := measure_section(patch)) > SECTION_LIMIT:
        _refuse(f"the properties come to {size} bytes, IoT Hub takes {SECTION_LIMIT}")


def measure_section(value: Any) -> int:
    """Return what a value comes to in a section: the characters of keys and texts without controls, 8 for a number,
    4 for a boolean, nothing for null, which deletes.
    """
    if isinstance(value, dict):
        return sum(measure_section(key) + measure_section(inner) for key, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return sum(map(measure_section, value))
    if isinstance(value, str):
        return len(_CONTROL.sub("", value))
    if value is None:
        return 0
    return _BOOLEAN_SIZE if isinstance(value, bool) else _NUMBER_SIZE


def _check_object(values: dict[str, Any], path: str, levels: int) -> None:
    for key, value in values.items():
        _check_key(key)
        _check_value(value, f"{path}.{key}" if path else key, levels)


def _check_key(key: str) -> None:
    _check_text(key)
    if not key or _FORBIDDEN_IN_KEY.search(key):
        _refuse(f"the key '{printable(key, 60)}' is empty, or has a dot, $, space or control character")
    if (size := len(key.encode())) > KEY_LIMIT:
        _refuse(f"the key '{printable(key, 60)}' has {size} bytes, {KEY_LIMIT} are allowed")


def _check_value(value: Any, path: str, levels: int) -> None:
    if isinstance(value, (dict, list)):
        if levels == 0:
            _refuse(f"{printable(path, 60)}: more than {LEVEL_LIMIT} levels")
        if isinstance(value, dict):
            _check_object(value, path, levels - 1)
        else:
            for inner in value:
                _check_value(inner, path, levels - 1)
    elif isinstance(value, str):
        _check_text(value)
        if (size := len(value.encode())) > TEXT_LIMIT:
            _refuse(f"{printable(path, 60)}: a text of {size} bytes, {TEXT_LIMIT} are allowed")
    elif isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
        _refuse(f"{printable(path, 60)}: an integer outside {INTEGER_MIN} to {INTEGER_MAX}")
    elif isinstance(value, float) and not abs(value) < float("inf"):
        _refuse(f"{printable(path, 60)}: a number that JSON does not have")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(f"'{printable(text, 60)}' is not Unicode text")


def _refuse(said: str) -> NoReturn:
    raise Problem("hub-message-invalid", said)
