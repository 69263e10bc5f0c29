"""Alters a packet, a reply of DPS or any bytes before they are sent, as a fault says. Pure but for random bytes."""

from __future__ import annotations

import json
import os
from typing import Any

from dpsd.emulator.actions import SendReply
from dpsd.emulator.wire.moments import Fault
from dpsd.emulator.wire.packets import ConnAck, ServerPacket, SubAck
from dpsd.protocol.dps import ErrorBody, Reply, encode_error_body, encode_reply_topic
from dpsd.protocol.query import encode_query
from dpsd.shape import Table

RANDOM_BYTES = 64
"""The size of `raw` when its row names neither bytes nor a size."""
TRACKING_ID = "00000000-0000-4000-8000-000000000000"


def replace_code(packet: ServerPacket, fault: Fault) -> ServerPacket:
    """Return the packet, with the fault's code where it is a CONNACK or SUBACK."""
    if fault.do == "code" and isinstance(packet, ConnAck):
        return ConnAck(fault.details.integer("code"), False)
    if fault.do == "code" and isinstance(packet, SubAck):
        return SubAck(packet.packet_id, tuple(fault.details.integer("code") for _ in packet.codes))
    return packet


def split_bytes(data: bytes, fault: Fault) -> list[bytes]:
    """Return the pieces to send in place of `data`, each in a TLS record, or WebSocket frame, of its own."""
    if fault.do == "omit":
        return []
    if fault.do == "raw":
        return [make_raw_bytes(fault)]
    if fault.do == "duplicate":
        return [data, data]
    if fault.do == "cut":
        return [data[: fault.details.integer("size")]]
    if fault.do in ("split", "fragment"):
        size = fault.details.integer("size")
        return [data[begin : begin + size] for begin in range(0, len(data), size)]
    return [data]


def make_raw_bytes(fault: Fault) -> bytes:
    """Return the bytes that a `raw` row sends."""
    text = fault.details.optional_string("hex")
    return os.urandom(fault.details.optional_integer("size") or RANDOM_BYTES) if text is None else bytes.fromhex(text)


def alter_reply(action: SendReply, details: Table, timestamp: str) -> tuple[str, bytes]:
    """Return topic and body of a DPS reply with the details of a `reply` row. timestamp: as the service writes it."""
    status = details.values.get("status", action.reply.status)
    topic = details.values.get("topic", _alter_topic(action, details, status))
    body = _alter_body(action, details, status, timestamp)
    return topic, body[: details.values.get("bodyCut", len(body))]


def _alter_topic(action: SendReply, details: Table, status: int) -> str:
    """Return the topic with the row's request id and retry-after: any text, or null to leave it out."""
    request_id = details.values.get("requestId", action.reply.request_id)
    retry_after = details.values.get("retryAfter", action.reply.retry_after)
    path = encode_reply_topic(Reply(status, "")).partition("?")[0]
    fields = [] if request_id is None else [encode_query({"$rid": request_id})]
    fields += [] if retry_after is None else [f"retry-after={retry_after}"]
    return f"{path}?{'&'.join(fields)}"


def _alter_body(action: SendReply, details: Table, status: int, timestamp: str) -> bytes:
    values = details.values
    if "bodyHex" in values:
        return bytes.fromhex(values["bodyHex"])
    if "body" in values:
        return str(values["body"]).encode()
    if "bodySize" in values:
        return _make_object(values["bodySize"])
    if "registrationStatus" in values or "state" in values:
        return _alter_operation(action.body, details)
    if status >= 300:
        code = values.get("errorCode", status * 1000)
        message = values.get("message", "A fault of the emulator's list.")
        return encode_error_body(ErrorBody(code, message, TRACKING_ID), timestamp)
    return action.body


def _alter_operation(body: bytes, details: Table) -> bytes:
    operation: dict[str, Any] = json.loads(body)
    state = operation.get("registrationState", {})
    status = details.values.get("registrationStatus")
    if status is not None:
        operation["status"] = state["status"] = status
    state.update(details.values.get("state", {}))
    operation["registrationState"] = {key: value for key, value in state.items() if value is not None}
    return json.dumps(operation).encode()


def _make_object(size: int) -> bytes:
    """Return a JSON object of `size` bytes that has nothing wrong but perhaps its size."""
    frame = b'{"status":"assigning","x":""}'
    return frame[:-2] + b"x" * max(0, size - len(frame)) + frame[-2:]
