"""Property bags: the properties of a message, as the last part of its topic carries them.

Source: Microsoft's "Communicate with IoT Hub using MQTT" page. Pairs `name=value` stand between `&`, names and values
percent-encoded as in RFC 3986, so that `+` is a plus. A name without `=` has the value null, and one with nothing
behind `=` the empty text. Names that begin with `$.` are the system's.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

Bag = Mapping[str, str | None]
"""The properties of a message by name."""

SYSTEM_PROPERTIES = {
    "$.mid": "message-id",
    "$.cid": "correlation-id",
    "$.uid": "user-id",
    "$.ct": "content-type",
    "$.ce": "content-encoding",
    "$.to": "to",
    "$.exp": "expiry-time",
    "$.on": "output",
    "$.ifid": "interface-id",
    "$.sub": "component",
    "$.ctime": "creation-time",
    "$.schema": "message-schema",
    "$.cdid": "connection-device-id",
    "$.cmid": "connection-module-id",
}
"""What the system's names mean. Source: Microsoft's SDKs for Python and .NET; the last three are .NET's alone."""


def encode_bag(bag: Bag) -> str:
    """Return `bag` as it stands in a topic, `$` encoded as the hub itself does it; raises UnicodeEncodeError."""
    return "&".join(map(_encode_pair, bag.items()))


def _encode_pair(pair: tuple[str, str | None]) -> str:
    name, value = pair
    return quote(name, safe="") if value is None else f"{quote(name, safe='')}={quote(value, safe='')}"


def parse_bag(text: str) -> dict[str, str | None]:
    """Parse the last part of a topic; the first of equal names counts.

    A slash at the end is no part of it: Microsoft's SDK for .NET sends one behind the properties.
    """
    bag: dict[str, str | None] = {}
    for part in text.removesuffix("/").split("&"):
        name, equals, value = part.partition("=")
        if name:
            bag.setdefault(unquote(name), unquote(value) if equals else None)
    return bag
