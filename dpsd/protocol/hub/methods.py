"""Direct methods: the hub calls one by its name, the device answers with a status and a JSON value.

Source: Microsoft's "Communicate with IoT Hub using MQTT" page. A payload is JSON, or empty. That a method's name is
percent-encoded is how Microsoft's SDK for Python reads it.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from dpsd.errors import ProtocolError
from dpsd.protocol.query import encode_query, parse_query
from dpsd.shape import DEPTH_LIMIT, is_deeper

METHOD_FILTER = "$iothub/methods/POST/#"

_CALL = re.compile(r"\$iothub/methods/POST/([^/]+)/(?:\?(.*))?", re.DOTALL)
_ANSWER = re.compile(r"\$iothub/methods/res/(-?[0-9]{1,10})/(?:\?(.*))?", re.DOTALL)


class MethodCall(NamedTuple):
    """The topic of a call."""

    name: str
    request_id: str

    def encode(self) -> str:
        return f"$iothub/methods/POST/{quote(self.name, safe='')}/?{encode_query({'$rid': self.request_id})}"


class MethodAnswer(NamedTuple):
    """The topic of an answer, with the id of the call. status: the device's own, mostly 200."""

    status: int
    request_id: str

    def encode(self) -> str:
        return f"$iothub/methods/res/{self.status}/?{encode_query({'$rid': self.request_id})}"


def parse_method_call(topic: str) -> MethodCall | None:
    """Parse a topic, None where it is another kind's."""
    match = _CALL.fullmatch(topic)
    return MethodCall(unquote(match[1]), parse_query(match[2] or "").get("$rid", "")) if match else None


def parse_method_answer(topic: str) -> MethodAnswer | None:
    """Parse a topic, None where it is another kind's."""
    match = _ANSWER.fullmatch(topic)
    return MethodAnswer(int(match[1]), parse_query(match[2] or "").get("$rid", "")) if match else None


def encode_payload(value: Any) -> bytes:
    """Encode the payload of a call or an answer; None is the empty one. Raises ValueError for what is no JSON value."""
    try:
        return b"" if value is None else json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(type(error).__name__) from None


def parse_payload(body: bytes) -> Any:
    """Parse the payload of a call or an answer, None where it is empty; raises ProtocolError."""
    if not body.strip():
        return None
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the payload is not JSON ({type(error).__name__})") from None
    if is_deeper(value, DEPTH_LIMIT):
        raise ProtocolError(f"the payload has more than {DEPTH_LIMIT} levels")
    return value


def _refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, which are no JSON (RFC 8259, section 6)."""
    raise ValueError(name)
