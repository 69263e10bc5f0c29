"""IoT Hub over MQTT: the topics of telemetry and of the device twin, as a hub reads and writes them.

Source: Microsoft's "Communicate with IoT Hub using MQTT" page.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dpsd.errors import ProtocolError
from dpsd.protocol.query import encode_query, parse_query

TWIN_REPLY_FILTER = "$iothub/twin/res/#"
MESSAGE_LIMIT = 256 * 1024
"""Bytes of the largest device-to-cloud message."""

_TELEMETRY = re.compile(r"devices/([^/]+)(?:/modules/([^/]+))?/messages/events/(.*)", re.DOTALL)
_TWIN_GET = "$iothub/twin/GET/"
_TWIN_PATCH = "$iothub/twin/PATCH/properties/reported/"


class Telemetry(NamedTuple):
    """The topic of a device-to-cloud message."""

    device_id: str
    module_id: str | None
    properties: dict[str, str]


class TwinGet(NamedTuple):
    """The topic of a request for the whole twin. The hub does not answer a request without `$rid` (None)."""

    request_id: str | None


class TwinPatch(NamedTuple):
    """The topic of a change to the reported properties. Without `$rid` the hub applies it but does not answer."""

    request_id: str | None


class TwinReply(NamedTuple):
    """The topic of a twin reply. version: that of the reported properties after a change, otherwise None."""

    status: int
    request_id: str
    version: int | None = None


def parse_request_topic(topic: str) -> Telemetry | TwinGet | TwinPatch:
    """Parse the topic that a device publishes to; raises ProtocolError for a topic that is not listed above."""
    telemetry = _TELEMETRY.fullmatch(topic)
    if telemetry:
        return Telemetry(telemetry[1], telemetry[2], parse_query(telemetry[3]))
    path, _, query = topic.partition("?")
    if path == _TWIN_GET:
        return TwinGet(parse_query(query).get("$rid"))
    if path == _TWIN_PATCH:
        return TwinPatch(parse_query(query).get("$rid"))
    raise ProtocolError("not a telemetry or twin topic")


def encode_twin_reply_topic(reply: TwinReply) -> str:
    """Return the topic of a twin reply."""
    topic = f"$iothub/twin/res/{reply.status}/?{encode_query({'$rid': reply.request_id})}"
    return topic if reply.version is None else f"{topic}&$version={reply.version}"
