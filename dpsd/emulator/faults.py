"""What goes wrong on purpose: rows of a list, consulted by the session at each moment. Pure.

A row says `on` which moment and what to `do`; the other names narrow it down or belong to the deed:

    {"on": "register-reply", "do": "reply", "status": 429, "retryAfter": "7", "nth": 1, "times": 2}

on    coming in: accept connect subscribe register poll telemetry twin ping
      going out: connack suback puback register-reply poll-reply twin-reply pingresp
do    drop         cut the TCP connection: at once, or after what goes out has gone
      hang-up      the same, but closed in order
      silence      from now on nothing is sent; what would go out is not
      omit         only this packet is not sent
      delay        wait `seconds` first
      raw          send the bytes of `hex` instead, or `size` random ones
      duplicate    send it twice
      code         CONNACK and SUBACK: this `code`
      cut          send `size` bytes of it, then drop
      reply        DPS replies: `status`, `requestId`, `retryAfter` (text; null: none), `topic`, `body` (text),
                   `bodyHex`, `bodySize` (that many bytes of a valid object), `errorCode` and `message`,
                   `registrationStatus` and `state` (members put over registrationState; null: removed)
      certificate  accept only: the server shows `which`: expired | wrong-name | unknown-ca
client   only this registration or device id          service  only dps | hub
nth      the first time it happens, counted from 1     times    how often from then on, 0: always; default 1
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dpsd.emulator.steps import Answer
from dpsd.protocol.dps import Fault as FaultBody
from dpsd.protocol.dps import encode_fault, encode_reply_topic
from dpsd.shape import ShapeError, Table

INCOMING = ("accept", "connect", "subscribe", "register", "poll", "telemetry", "twin", "ping")
OUTGOING = ("connack", "suback", "puback", "register-reply", "poll-reply", "twin-reply", "pingresp")
CERTIFICATES = ("expired", "wrong-name", "unknown-ca")
_REPLY_DETAILS = ("status", "requestId", "topic", "body", "bodyHex", "bodySize", "errorCode", "message")
DEEDS: dict[str, tuple[str, ...]] = {
    "drop": (),
    "hang-up": (),
    "silence": (),
    "omit": (),
    "delay": ("seconds",),
    "raw": ("hex", "size"),
    "duplicate": (),
    "code": ("code",),
    "cut": ("size",),
    "reply": (*_REPLY_DETAILS, "retryAfter", "registrationStatus", "state"),
    "certificate": ("which",),
}
PLACES: dict[str, tuple[str, ...]] = {
    "omit": OUTGOING,
    "duplicate": OUTGOING,
    "cut": OUTGOING,
    "code": ("connack", "suback"),
    "reply": ("register-reply", "poll-reply"),
    "certificate": ("accept",),
}
"""The moments of the deeds that are not for all."""


class Fault:
    """One row. seen: how often its moment has come."""

    def __init__(self, table: Table) -> None:
        self.on = _word(table, "on", (*INCOMING, *OUTGOING))
        self.do = _word(table, "do", tuple(DEEDS))
        table.check_names(("on", "do", "client", "service", "nth", "times", *DEEDS[self.do]))
        self.details = table
        self.nth = _whole(table, "nth", 1)
        self.times = _whole(table, "times", 1)
        self.client = table.optional_string("client")
        self.service = table.optional_string("service")
        self.seen = 0
        if self.on not in PLACES.get(self.do, (*INCOMING, *OUTGOING)):
            raise ShapeError(f"{table.path}.do: {self.do} is not for {self.on}")
        _check_details(self.do, table)

    def concerns(self, moment: str, client: str | None, service: str | None) -> bool:
        return (
            self.on == moment
            and (self.client is None or self.client == client)
            and (self.service is None or self.service == service)
        )

    def is_due(self) -> bool:
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)


class Faults:
    """The rows in their order; the first that is due is taken."""

    def __init__(self, rows: Iterable[Fault] = ()) -> None:
        self.rows = list(rows)

    def take(self, moment: str, client: str | None = None, service: str | None = None) -> Fault | None:
        """Return what to do at this moment, or None; every row that it concerns has counted it."""
        concerned = [row for row in self.rows if row.concerns(moment, client, service)]
        for row in concerned:
            row.seen += 1
        return next((row for row in concerned if row.is_due()), None)


def parse_faults(rows: list[Any]) -> Faults:
    """Parse the list of a faults file; raises ShapeError."""
    return Faults(Fault(table) for table in Table({"faults": rows}).tables("faults"))


def altered(answer: Answer, fault: Table, timestamp: str) -> tuple[str, bytes]:
    """Return topic and body of a DPS reply as the fault wants them."""
    reply = answer.reply
    status = fault.values.get("status", reply.status)
    changed = reply._replace(status=status, request_id=fault.values.get("requestId", reply.request_id))
    if "retryAfter" not in fault.values:
        topic = encode_reply_topic(changed)
    else:
        text = fault.values["retryAfter"]
        topic = encode_reply_topic(changed._replace(retry_after=None))
        topic += "" if text is None else f"&retry-after={text}"
    return fault.values.get("topic", topic), _altered_body(answer, fault, status, timestamp)


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
        code, message = (
            values.get("errorCode", status * 1000),
            values.get("message", "A fault of the emulator's list."),
        )
        return encode_fault(FaultBody(code, message, "00000000-0000-4000-8000-000000000000"), timestamp)
    return answer.body


def _altered_operation(body: bytes, fault: Table) -> bytes:
    operation = json.loads(body)
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


def _check_details(deed: str, table: Table) -> None:
    for key in ("code", "size", "status", "bodySize", "errorCode"):
        table.optional_integer(key)
    for key in (
        "hex",
        "bodyHex",
        "requestId",
        "retryAfter",
        "topic",
        "body",
        "message",
        "registrationStatus",
    ):
        _check_hex(table, key, table.optional_string(key))
    table.optional_table("state")
    if deed == "certificate":
        _word(table, "which", CERTIFICATES)
    if deed == "code":
        table.integer("code")
    if deed == "delay" and not isinstance(table.values.get("seconds"), int | float):
        raise ShapeError(f"{table.path}.seconds: expected a number")


def _check_hex(table: Table, key: str, text: str | None) -> None:
    try:
        bytes.fromhex(text if text and key in ("hex", "bodyHex") else "")
    except ValueError:
        raise ShapeError(f"{table.path}.{key}: is not hexadecimal") from None


def _word(table: Table, key: str, words: tuple[str, ...]) -> str:
    word = table.string(key)
    if word not in words:
        raise ShapeError(f"{table.path}.{key}: is not one of {', '.join(words)}")
    return word


def _whole(table: Table, key: str, default: int) -> int:
    number = table.optional_integer(key)
    return default if number is None else number
