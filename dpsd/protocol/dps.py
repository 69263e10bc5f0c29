"""DPS over MQTT: topics and bodies, in both directions.

Source: Microsoft's "Communicate with DPS using MQTT" page, the device runtime REST specification, and recorded
sessions. The status in a reply's topic is about the request; whether the device is assigned stands in the body:
`failed` and `disabled` come on 200.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from dpsd.errors import ProtocolError
from dpsd.protocol.query import encode_query, parse_query
from dpsd.shape import ShapeError, Table, parse_object

REPLY_FILTER = "$dps/registrations/res/#"
PAYLOAD_LIMIT = 96 * 1024
"""Bytes of the largest MQTT message of DPS (service limits page)."""

_REGISTER = "$dps/registrations/PUT/iotdps-register/"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/"
_REPLY = re.compile(r"\$dps/registrations/res/([0-9]{3})/(?:\?(.*))?", re.DOTALL)
_DIGITS = re.compile(r"[0-9]{1,9}")


class Register(NamedTuple):
    """A request to register; topic and body belong together."""

    request_id: str


class Poll(NamedTuple):
    """A request for the state of an operation."""

    request_id: str
    operation_id: str


class Reply(NamedTuple):
    """A reply's topic. retry_after: seconds, absent where the service sent none or no number."""

    status: int
    request_id: str
    retry_after: int | None = None


class ErrorBody(NamedTuple):
    """A request-level error: the body of a 4xx or 5xx reply."""

    error_code: int | None
    message: str
    tracking_id: str


class Operation(NamedTuple):
    """The body of a 2xx reply: `state` holds the registrationState object where there is one."""

    operation_id: str | None
    status: str
    state: Table


def encode_register_topic(request_id: str) -> str:
    return f"{_REGISTER}?{encode_query({'$rid': request_id})}"


def encode_poll_topic(request_id: str, operation_id: str) -> str:
    return f"{_POLL}?{encode_query({'$rid': request_id, 'operationId': operation_id})}"


def parse_request_topic(topic: str) -> Register | Poll:
    """Parse what a device publishes to; unknown parameters are ignored, a missing `$rid` is empty (as seen live)."""
    path, _, query = topic.partition("?")
    fields = parse_query(query)
    request_id = fields.get("$rid", "")
    if path == _REGISTER:
        return Register(request_id)
    if path == _POLL:
        return Poll(request_id, fields.get("operationId", ""))
    raise ProtocolError("not a DPS request topic")


def encode_reply_topic(reply: Reply) -> str:
    """Encode with `$rid` first, as the service does: one SDK depends on that order."""
    topic = f"$dps/registrations/res/{reply.status}/?{encode_query({'$rid': reply.request_id})}"
    return topic if reply.retry_after is None else f"{topic}&retry-after={reply.retry_after}"


def parse_reply_topic(topic: str) -> Reply:
    match = _REPLY.fullmatch(topic)
    if not match:
        raise ProtocolError("not a DPS reply topic")
    fields = parse_query(match[2] or "")
    lowered = {name.lower(): value for name, value in fields.items()}
    return Reply(int(match[1]), fields.get("$rid", ""), _parse_seconds(lowered.get("retry-after")))


def _parse_seconds(text: str | None) -> int | None:
    return int(text) if text and _DIGITS.fullmatch(text) else None


def encode_register_body(registration_id: str, payload: dict[str, Any] | None) -> bytes:
    body: dict[str, Any] = {"registrationId": registration_id}
    if payload is not None:
        body["payload"] = payload
    return json.dumps(body, separators=(",", ":")).encode()


def parse_register_body(body: bytes) -> tuple[str | None, dict[str, Any] | None]:
    """Return registration id and payload; both may be absent and the body empty, as SDKs send it."""
    if not body.strip():
        return None, None
    table = _parse_body(body)
    try:
        payload = table.optional_table("payload")
        return table.optional_string("registrationId"), payload.values if payload else None  # type: ignore[return-value]
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


def encode_operation(operation: Operation) -> bytes:
    """Encode the body of a 2xx reply, without registrationState where `state` is empty."""
    body: dict[str, Any] = {"operationId": operation.operation_id, "status": operation.status}
    if operation.state.values:
        body["registrationState"] = operation.state.values
    return json.dumps(body, separators=(",", ":")).encode()


def encode_error_body(error: ErrorBody, timestamp: str) -> bytes:
    """Encode the body of an error reply; `timestamp` is the service's, in UTC with seven digits."""
    body = {"errorCode": error.error_code, "trackingId": error.tracking_id, "message": error.message}
    return json.dumps({**body, "timestampUtc": timestamp}, separators=(",", ":")).encode()


def parse_operation(body: bytes) -> Operation:
    """Parse the body of a 2xx reply; raises ProtocolError."""
    table = _parse_body(body)
    try:
        state = table.optional_table("registrationState") or Table({}, "registrationState")
        return Operation(table.optional_string("operationId"), table.string("status"), state)
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


def parse_error_body(body: bytes) -> ErrorBody:
    """Parse the body of an error reply, as far as it can be read: the status alone already decides."""
    try:
        table = _parse_body(body)
        code, message = table.optional_integer("errorCode"), table.optional_string("message") or ""
        return ErrorBody(code, message, table.optional_string("trackingId") or "")
    except (ShapeError, ProtocolError):
        return ErrorBody(None, "", "")


def _parse_body(body: bytes) -> Table:
    if len(body) > PAYLOAD_LIMIT:
        raise ProtocolError(f"a body of {len(body)} bytes, DPS allows {PAYLOAD_LIMIT}")
    try:
        return parse_object(body.decode(), "reply")
    except UnicodeDecodeError:
        raise ProtocolError("the body is not UTF-8") from None
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


# DPS publishes no list of its error codes. These were seen in recorded sessions and in issue threads of Microsoft's
# SDKs; a code that only repeats the status, or whose cause is a guess, is not here. DPS shares its numbers with IoT
# Hub, so that a code means one thing about a refused request and another about an assignment that failed.
REFUSED = (
    (401000, "", "check that the key is this device's own, in a group the derived one, and the board's clock"),
    (401002, "CA certificate not found", "put the intermediates behind the certificate, and verify its CA in DPS"),
    (401002, "Invalid certificate", "enroll this certificate or its CA; the CN must be the registration id"),
)
"""About a request: error code, what its message holds, hint."""
FAILED = (
    (400207, "", "see the log of the custom allocation function: it failed"),
    (400208, "", "link an IoT Hub to DPS and to the enrollment"),
    (400209, "", "approve or unblock the device in IoT Central"),
    (401002, "", "link the IoT Hub to DPS again: it does not accept the key that DPS has for it"),
)
"""About an assignment with the status `failed`: the same."""


def find_hint(error: ErrorBody, known: tuple[tuple[int, str, str], ...]) -> str | None:
    """Return the hint of a row that fits, None where the problem's own hint has to do."""
    fitting = (hint for code, said, hint in known if error.error_code == code and said in error.message)
    return next(fitting, None)
