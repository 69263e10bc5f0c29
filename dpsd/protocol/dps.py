"""DPS over MQTT: topics and bodies, in both directions.

Source: Microsoft's "Communicate with DPS using MQTT" page, the device runtime REST specification, and recorded
sessions. The status in a reply's topic is about the request. The body says whether the device is assigned: `failed`
and `disabled` come with status 200.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from dpsd.errors import ProtocolError
from dpsd.protocol.query import encode_query, parse_query
from dpsd.shape import DepthError, ShapeError, Table, parse_object

REPLY_FILTER = "$dps/registrations/res/#"
PAYLOAD_LIMIT = 96 * 1024
"""Bytes of the largest MQTT message that DPS takes or sends (service limits page)."""
RETRY_AFTER_LIMIT = 999_999_999
"""Seconds; a longer retry-after is read as this."""
_BY_FUNCTION = "a payload as large or deep comes from the custom allocation function"
"""For errors; everything else that DPS sends is short and flat."""

_REGISTER = "$dps/registrations/PUT/iotdps-register/"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/"
_REPLY = re.compile(r"\$dps/registrations/res/([0-9]{3})/(?:\?(.*))?", re.DOTALL)
_DIGITS = re.compile(r"0*([0-9]+)")


class Register(NamedTuple):
    """The topic of a request to register."""

    request_id: str


class Poll(NamedTuple):
    """The topic of a request for the state of an operation."""

    request_id: str
    operation_id: str


class Reply(NamedTuple):
    """The topic of a reply. retry_after: seconds, at most `RETRY_AFTER_LIMIT`; None if the service sent no number."""

    status: int
    request_id: str
    retry_after: int | None = None


class ErrorBody(NamedTuple):
    """The body of a 4xx or 5xx reply: why DPS refused the request."""

    error_code: int | None
    message: str
    tracking_id: str


class Operation(NamedTuple):
    """The body of a 2xx reply. state: the registrationState object, empty if DPS sent none."""

    operation_id: str | None
    status: str
    state: Table


def encode_register_topic(request_id: str) -> str:
    """Return the topic of a request to register."""
    return f"{_REGISTER}?{encode_query({'$rid': request_id})}"


def encode_poll_topic(request_id: str, operation_id: str) -> str:
    """Return the topic of a request for the state of an operation."""
    return f"{_POLL}?{encode_query({'$rid': request_id, 'operationId': operation_id})}"


def parse_request_topic(topic: str) -> Register | Poll:
    """Parse the topic that a device publishes to; raises ProtocolError.

    As seen live, unknown parameters are ignored and a missing `$rid` counts as empty.
    """
    path, _, query = topic.partition("?")
    fields = parse_query(query)
    request_id = fields.get("$rid", "")
    if path == _REGISTER:
        return Register(request_id)
    if path == _POLL:
        return Poll(request_id, fields.get("operationId", ""))
    raise ProtocolError("not a DPS request topic")


def encode_reply_topic(reply: Reply) -> str:
    """Return the topic of a reply."""
    # The service puts `$rid` first, and one SDK depends on that order.
    topic = f"$dps/registrations/res/{reply.status}/?{encode_query({'$rid': reply.request_id})}"
    return topic if reply.retry_after is None else f"{topic}&retry-after={reply.retry_after}"


def parse_reply_topic(topic: str) -> Reply:
    """Parse the topic of a reply; raises ProtocolError."""
    match = _REPLY.fullmatch(topic)
    if not match:
        raise ProtocolError("not a DPS reply topic")
    fields = parse_query(match[2] or "")
    lowered = {name.lower(): value for name, value in fields.items()}
    return Reply(int(match[1]), fields.get("$rid", ""), _parse_seconds(lowered.get("retry-after")))


def _parse_seconds(text: str | None) -> int | None:
    digits = _DIGITS.fullmatch(text or "")
    if not digits:
        return None
    # Python reads no number of more than some thousand digits.
    return int(digits[1]) if len(digits[1]) <= len(str(RETRY_AFTER_LIMIT)) else RETRY_AFTER_LIMIT


def encode_register_body(registration_id: str, payload: dict[str, Any] | None) -> bytes:
    """Return the body of a request to register. payload: for a custom allocation, None for no payload."""
    body: dict[str, Any] = {"registrationId": registration_id}
    if payload is not None:
        body["payload"] = payload
    return json.dumps(body, separators=(",", ":")).encode()


def parse_register_body(body: bytes) -> tuple[str | None, dict[str, Any] | None]:
    """Return the registration id and the payload of a body; raises ProtocolError.

    Both may be None, and the body may be empty: SDKs send it so.
    """
    if not body.strip():
        return None, None
    table = _parse_body(body)
    try:
        payload = table.optional_table("payload")
        return table.optional_string("registrationId"), payload.values if payload else None  # type: ignore[return-value]
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


def encode_operation(operation: Operation) -> bytes:
    """Return the body of a 2xx reply, without registrationState if `state` is empty."""
    body: dict[str, Any] = {"operationId": operation.operation_id, "status": operation.status}
    if operation.state.values:
        body["registrationState"] = operation.state.values
    return json.dumps(body, separators=(",", ":")).encode()


def encode_error_body(error: ErrorBody, timestamp: str) -> bytes:
    """Return the body of an error reply. timestamp: the service's time, in UTC with seven digits of a second."""
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
    """Parse the body of an error reply; one that cannot be read gives empty fields."""
    try:  # the reply's status already decides, so that a bad body is no error of its own
        table = _parse_body(body)
        code, message = table.optional_integer("errorCode"), table.optional_string("message") or ""
        return ErrorBody(code, message, table.optional_string("trackingId") or "")
    except (ShapeError, ProtocolError):
        return ErrorBody(None, "", "")


def _parse_body(body: bytes) -> Table:
    if len(body) > PAYLOAD_LIMIT:
        raise ProtocolError(f"a body of {len(body)} bytes, DPS allows {PAYLOAD_LIMIT}; {_BY_FUNCTION}")
    try:
        return parse_object(body.decode(), "reply")
    except UnicodeDecodeError:
        raise ProtocolError("the body is not UTF-8") from None
    except DepthError as error:
        raise ProtocolError(f"{error}; {_BY_FUNCTION}") from None
    except ShapeError as error:
        raise ProtocolError(str(error)) from None


# DPS publishes no list of its error codes. These were seen in recorded sessions and in issue threads of Microsoft's
# SDKs. Codes that only repeat the status, and codes whose cause is a guess, are left out. DPS shares its numbers with
# IoT Hub, so a code means one thing for a refused request and another for a failed assignment.
REFUSED = (
    (401000, "", "check the board's clock, and that the key is this device's own (in a group: the derived one)"),
    (401002, "CA certificate not found", "append the intermediates to the certificate, and verify its CA in DPS"),
    (401002, "Invalid certificate", "enroll this certificate or its CA; the CN must be the registration id"),
)
"""Exact hints for a refused request: error code, a part of its message, hint."""
FAILED = (
    (400207, "", "see the log of the custom allocation function: it failed"),
    (400208, "", "link an IoT Hub to DPS and to the enrollment"),
    (400209, "", "approve or unblock the device in IoT Central"),
    (401002, "", "link the IoT Hub to DPS again: it does not accept the key that DPS has for it"),
)
"""Exact hints for an assignment with the status `failed`: likewise."""


def find_hint(error: ErrorBody, known: tuple[tuple[int, str, str], ...]) -> str | None:
    """Return the hint of the first row of `known` that fits the error; None if none fits."""
    fitting = (hint for code, said, hint in known if error.error_code == code and said in error.message)
    return next(fitting, None)
