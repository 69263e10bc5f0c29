"""What a fault makes of a packet, a DPS reply or an HTTP answer before it is sent. Pure but for random bytes."""

from __future__ import annotations

import json
import os
from typing import Any

from dpsd.emulator.dps.steps import Answer
from dpsd.emulator.wire.moments import Fault
from dpsd.emulator.wire.packets import ConnAck, ServerPacket, SubAck
from dpsd.protocol.dps import ErrorBody, Reply, encode_error_body, encode_reply_topic
from dpsd.protocol.query import encode_query
from dpsd.shape import Table

RANDOM_BYTES = 64
"""What `raw` sends when it names neither bytes nor a size."""
TRACKING_ID = "00000000-0000-4000-8000-000000000000"


def recoded(packet: ServerPacket, fault: Fault) -> ServerPacket:
    """Put the fault's code into a CONNACK or SUBACK."""
    if fault.do == "code" and isinstance(packet, ConnAck):
        return ConnAck(fault.details.integer("code"), False)
    if fault.do == "code" and isinstance(packet, SubAck):
        return SubAck(packet.packet_id, tuple(fault.details.integer("code") for _ in packet.codes))
    return packet


def pieces(data: bytes, fault: Fault) -> list[bytes]:
    """Return what goes out in place of `data`, each piece in a frame or record of its own."""
    if fault.do == "omit":
        return []
    if fault.do == "raw":
        return [raw(fault)]
    if fault.do == "duplicate":
        return [data, data]
    if fault.do == "cut":
        return [data[: fault.details.integer("size")]]
    if fault.do in ("split", "fragment"):
        size = fault.details.integer("size")
        return [data[begin : begin + size] for begin in range(0, len(data), size)]
    return [data]


def raw(fault: Fault) -> bytes:
    """Return the bytes of a `raw` row."""
    text = fault.details.optional_string("hex")
    return os.urandom(fault.details.optional_integer("size") or RANDOM_BYTES) if text is None else bytes.fromhex(text)


def altered(answer: Answer, fault: Table, timestamp: str) -> tuple[str, bytes]:
    """Return topic and body of a DPS reply as the fault wants them."""
    status = fault.values.get("status", answer.reply.status)
    topic = fault.values.get("topic", _altered_topic(answer, fault, status))
    body = _altered_body(answer, fault, status, timestamp)
    return topic, body[: fault.values.get("bodyCut", len(body))]


def _altered_topic(answer: Answer, fault: Table, status: int) -> str:
    """The row's retry-after need be no number, and request id and retry-after need not be there."""
    request_id = fault.values.get("requestId", answer.reply.request_id)
    retry_after = fault.values.get("retryAfter", answer.reply.retry_after)
    path = encode_reply_topic(Reply(status, "")).partition("?")[0]
    fields = [] if request_id is None else [encode_query({"$rid": request_id})]
    fields += [] if retry_after is None else [f"retry-after={retry_after}"]
    return f"{path}?{'&'.join(fields)}"


def _altered_body(answer: Answer, fault: Table, status: int, timestamp: str) -> bytes:
    values = fault.values
    if "bodyHex" in values:
        return bytes.fromhex(values["bodyHex"])
    if "body" in values:
        return str(values["body"]).encode()
    if "bodySize" in values:
        return _object_of(values["bodySize"])
    if "registrationStatus" in values or "state" in values:
        return _altered_operation(answer.body, fault)
    if status >= 300:
        code = values.get("errorCode", status * 1000)
        message = values.get("message", "A fault of the emulator's list.")
        return encode_error_body(ErrorBody(code, message, TRACKING_ID), timestamp)
    return answer.body


def _altered_operation(body: bytes, fault: Table) -> bytes:
    operation: dict[str, Any] = json.loads(body)
    state = operation.get("registrationState", {})
    status = fault.values.get("registrationStatus")
    if status is not None:
        operation["status"] = state["status"] = status
    state.update(fault.values.get("state", {}))
    operation["registrationState"] = {key: value for key, value in state.items() if value is not None}
    return json.dumps(operation).encode()


def _object_of(size: int) -> bytes:
    """Return a JSON object of `size` bytes that a reader must take or refuse by its size alone."""
    frame = b'{"status":"assigning","x":""}'
    return frame[:-2] + b"x" * max(0, size - len(frame)) + frame[-2:]
