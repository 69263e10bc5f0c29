"""The device twin: reading it, reporting properties, and changes of desired ones.

Sources: Microsoft's "Communicate with IoT Hub using MQTT" and "Understand and use device twins" pages; recorded
sessions for the shape of a twin (`desired` and `reported` at the top), the status 204 of a change that was taken, and
`$version` in a notification's topic and body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from dpsd.errors import ProtocolError
from dpsd.protocol.query import encode_query, parse_query
from dpsd.shape import ShapeError, Table, parse_object

TWIN_REPLY_FILTER = "$iothub/twin/res/#"
DESIRED_FILTER = "$iothub/twin/PATCH/properties/desired/#"

_GET = "$iothub/twin/GET/"
_REPORTED = "$iothub/twin/PATCH/properties/reported/"
_DESIRED = "$iothub/twin/PATCH/properties/desired/"
_REPLY = re.compile(r"\$iothub/twin/res/([0-9]{3})/(?:\?(.*))?", re.DOTALL)
_VERSION = re.compile(r"[0-9]{1,18}")


class TwinGet(NamedTuple):
    """A request for the whole twin; without `$rid` the hub never answers."""

    request_id: str | None

    def encode(self) -> str:
        return _GET + _request_query(self.request_id)


class TwinPatch(NamedTuple):
    """A change to the reported properties; without `$rid` the hub applies it and never answers."""

    request_id: str | None

    def encode(self) -> str:
        return _REPORTED + _request_query(self.request_id)


class TwinReply(NamedTuple):
    """A twin reply's topic: 200 with the twin, or 204 with the reported properties' new version."""

    status: int
    request_id: str
    version: int | None = None

    def encode(self) -> str:
        topic = f"$iothub/twin/res/{self.status:03}/?{encode_query({'$rid': self.request_id})}"
        return topic if self.version is None else f"{topic}&$version={self.version}"


class DesiredChange(NamedTuple):
    """The topic of a notification that desired properties changed. version: the new one, None where it has none."""

    version: int | None

    def encode(self) -> str:
        return f"{_DESIRED}?$version={self.version}" if self.version is not None else _DESIRED


class Section(NamedTuple):
    """Desired or reported properties, or a change of them, and the version that this makes."""

    properties: dict[str, Any]
    version: int | None

    def as_json(self) -> dict[str, Any]:
        return dict(self.properties) if self.version is None else {**self.properties, "$version": self.version}


class Twin(NamedTuple):
    desired: Section
    reported: Section


def parse_twin_request(topic: str) -> TwinGet | TwinPatch | None:
    """Parse a topic, None where it is another kind's."""
    path, _, query = topic.partition("?")
    if path == _GET:
        return TwinGet(parse_query(query).get("$rid"))
    return TwinPatch(parse_query(query).get("$rid")) if path == _REPORTED else None


def parse_twin_reply(topic: str) -> TwinReply | None:
    """Parse a topic, None where it is another kind's."""
    match = _REPLY.fullmatch(topic)
    if not match:
        return None
    fields = parse_query(match[2] or "")
    return TwinReply(int(match[1]), fields.get("$rid", ""), _version(fields))


def parse_desired_change(topic: str) -> DesiredChange | None:
    """Parse a topic, None where it is another kind's."""
    path, _, query = topic.partition("?")
    return DesiredChange(_version(parse_query(query))) if path == _DESIRED else None


def encode_twin(twin: Twin) -> bytes:
    """Encode the body of the answer to `TwinGet`."""
    return _encode({"desired": twin.desired.as_json(), "reported": twin.reported.as_json()})


def parse_twin(body: bytes) -> Twin:
    """Parse the body of the answer to `TwinGet`; raises ProtocolError."""
    table = _parse(body, "twin")
    try:
        return Twin(_section(table.table("desired")), _section(table.table("reported")))
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


def encode_section(section: Section) -> bytes:
    """Encode the body of a notification, or without a version that of `TwinPatch`."""
    return _encode(section.as_json())


def parse_section(body: bytes) -> Section:
    """Parse the body of a notification, or of `TwinPatch`; raises ProtocolError. A null in it deletes."""
    try:
        return _section(_parse(body, "properties"))
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


def merge(properties: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that a patch makes of these: objects merge key by key, null deletes a key."""
    merged = dict(properties)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _section(table: Table) -> Section:
    """Read a section; names with `$` in front are the hub's own and no properties."""
    properties = {name: value for name, value in table.values.items() if not name.startswith("$")}
    return Section(properties, table.optional_integer("$version"))


def _request_query(request_id: str | None) -> str:
    return "" if request_id is None else f"?$rid={quote(request_id, safe='')}"


def _version(fields: Mapping[str, str]) -> int | None:
    text = fields.get("$version", "")
    return int(text) if _VERSION.fullmatch(text) else None


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _parse(body: bytes, path: str) -> Table:
    try:
        return parse_object(body.decode(), path)
    except UnicodeDecodeError:
        raise ProtocolError(f"{path}: is not UTF-8") from None
    except ShapeError as error:
        raise ProtocolError(str(error)) from None
