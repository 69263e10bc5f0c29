"""The assignment that DPS sends, checked before dpsd uses any part of it.

The hub's name and the device id end up in files, environments and MQTT topics of other programs, so they must be a DNS
name and a device id that IoT Hub allows, whatever the service sends.
"""

from __future__ import annotations

import math
import re
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from dpsd.errors import Problem, ProtocolError
from dpsd.protocol.identifiers import is_device_id, is_host_name
from dpsd.shape import ShapeError, Table
from dpsd.text import printable

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{1,200}")
_CLASSIC_PROFILES = (None, "classic")
_MQTT5_PROFILE = "mqttV5"
_FUNCTION_HINT = "correct what the custom allocation function returns as payload"
# json fails on some thousand levels, and in an indented file each level costs a space on every line inside it.
PAYLOAD_DEPTH = 32
"""Levels of objects and lists in a payload."""


class Assignment(NamedTuple):
    """An IoT Hub and this device's name there. assigned_at: RFC 3339 with microseconds; empty if DPS sent no time.

    payload: any JSON value that the custom allocation function sent; None if it sent none.
    """

    hub: str
    device_id: str
    substatus: str
    assigned_at: str
    etag: str
    payload: Any


def parse_assignment(state: Table) -> Assignment:
    """Read an assigned device's registrationState (DPS REST specification).

    Raises ProtocolError if the shape is wrong, and Problem `assignment-invalid` if a value must not be used, or
    `assignment-mqtt5` if the hub speaks another protocol.
    """
    try:
        _check_profile(state.values.get("connectionProfile"))
        return Assignment(
            hub=_require_name(state.string("assignedHub"), is_host_name, "the assigned IoT Hub").lower(),
            device_id=_require_name(state.string("deviceId"), is_device_id, "the assigned device id"),
            substatus=_keep_token(state.optional_string("substatus")),
            assigned_at=_format_timestamp(state.optional_string("createdDateTimeUtc")),
            etag=_keep_token(state.optional_string("etag")),
            payload=_require_storable(state.values.get("payload")),
        )
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


def check_hub_allowed(hub: str, allow: tuple[str, ...]) -> None:
    """Raise Problem `assignment-not-allowed` unless a pattern of `hub.allow` matches; without patterns any hub may."""
    if allow and not any(fnmatchcase(hub, pattern.lower()) for pattern in allow):
        raise Problem("assignment-not-allowed", f"DPS assigned the IoT Hub {hub}, which hub.allow does not name")


def _check_profile(profile: object) -> None:
    if profile == _MQTT5_PROFILE:
        said = "DPS assigned an IoT Hub that speaks MQTT 5 (connection profile mqttV5), this device speaks MQTT 3.1.1"
        raise Problem("assignment-mqtt5", said)
    if profile not in _CLASSIC_PROFILES:
        raise Problem("assignment-invalid", f"connection profile '{printable(profile)}' is not supported")


def _require_name(text: str, allowed: Any, what: str) -> str:
    if not allowed(text):
        raise Problem("assignment-invalid", f"{what} is not a valid name: '{printable(text)}'")
    return text


def _require_storable(payload: Any) -> Any:
    if not _is_storable(payload, PAYLOAD_DEPTH):
        faults = f"more than {PAYLOAD_DEPTH} levels, or a number that JSON does not have"
        said = f"the payload that the custom allocation function sent has {faults}"
        raise Problem("assignment-invalid", said, hint=_FUNCTION_HINT)
    return payload


def _is_storable(value: Any, levels: int) -> bool:
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_storable(one, levels - 1) for one in inner)
    return not isinstance(value, float) or math.isfinite(value)


def _keep_token(text: str | None) -> str:
    return text if text and _TOKEN.fullmatch(text) else ""


def _format_timestamp(text: str | None) -> str:
    # The service sends one to seven digits of a second, and not every parser takes any number of them.
    match = _TIMESTAMP.fullmatch(text or "")
    return f"{match[1]}.{(match[2] or '')[:6]:0<6}Z" if match else ""
