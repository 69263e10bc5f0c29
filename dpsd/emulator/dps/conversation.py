"""What DPS answers: each connection has a `DpsConversation`. Pure: `now`, in seconds since 1970, is handed in.

Sources: Microsoft's page on DPS over MQTT, and traces of the real service ("seen live"). A device with a bad credential
passes CONNECT, gets a 401 for its first request, and is hung up on.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from typing import Any

from dpsd.emulator.actions import Action, HangUp, Pause, SendReply, WriteLog
from dpsd.emulator.dps.attestation import UNAUTHORIZED, Credential, Match, RequestError, authenticate
from dpsd.emulator.dps.provisioning import provision
from dpsd.emulator.wire.packets import ACCEPTED, NOT_AUTHORIZED, Connect
from dpsd.emulator.world import Operation, Registration, World, format_timestamp
from dpsd.errors import Problem, ProtocolError
from dpsd.protocol.dps import (
    PAYLOAD_LIMIT,
    REPLY_FILTER,
    ErrorBody,
    Poll,
    Register,
    Reply,
    encode_error_body,
    encode_operation,
    parse_register_body,
    parse_request_topic,
)
from dpsd.protocol.dps import Operation as OperationBody
from dpsd.protocol.identifiers import check_registration_id
from dpsd.protocol.login import DpsLogin
from dpsd.shape import Table

WINDOW = 10.0
"""Seconds over which calls are counted (Microsoft's quota page)."""
ASSIGNING_SECONDS = 30.0
"""An operation ends after so many seconds, even if nobody polls it."""
KEPT = 3600.0
"""An operation is forgotten so many seconds after its start; a later poll gets 404203."""
_API_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?")


class DpsConversation:
    """One device's connection to DPS. deadline: when it must end, or None. granted: QoS by subscribed filter."""

    service = "dps"
    session_present = False

    def __init__(self, world: World, login: DpsLogin, credential: Credential) -> None:
        self._world = world
        self._login = login
        self._credential = credential
        self.name = login.registration_id.lower()
        self.deadline: float | None = None
        self.granted: dict[str, int] = {}

    def connect(self, connect: Connect, now: float) -> int:
        """Return the CONNACK code. DPS keeps no session, whatever CleanSession says."""
        lifetime = self._world.switches.get_number("dps-lifetime")
        self.deadline = now + lifetime if lifetime else None
        if connect.client_id.lower() != self.name or self._is_refused_at_connect(connect):
            return NOT_AUTHORIZED
        if self._is_set("strict-connect", "on"):
            try:
                authenticate(self._world, self._login, self._credential, now)
            except RequestError:
                return NOT_AUTHORIZED
        return ACCEPTED

    def _is_refused_at_connect(self, connect: Connect) -> bool:
        return (
            (self._is_set("unknown-scope", "connack") and not self._is_our_scope())
            or (self._is_set("api-version", "connack") and not _API_VERSION.fullmatch(self._login.api_version))
            or (self._is_set("invalid-id", "connack") and not self._is_allowed_id())
            or (self._is_set("will-at-dps", "connack") and connect.will is not None)
        )

    def subscribe(self, filters: tuple[tuple[str, int], ...]) -> list[int] | None:
        """Return the QoS granted to each filter, at most 1; None where the service would hang up."""
        if any(name != REPLY_FILTER for name, _ in filters):
            return None
        granted = [min(qos, 1) for _, qos in filters]
        self.granted[REPLY_FILTER] = granted[-1]
        return granted

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        """Take back what was granted."""
        for name in filters:
            self.granted.pop(name, None)

    def name_moment(self, topic: str) -> str:
        """Return the moment of a request to `topic`; raises ProtocolError for any other topic."""
        return "register" if isinstance(parse_request_topic(topic), Register) else "poll"

    def publish(self, topic: str, body: bytes, retain: bool, now: float) -> list[Action]:
        """Answer a request; raises ProtocolError where the service would hang up."""
        request = parse_request_topic(topic)
        if len(body) > PAYLOAD_LIMIT and self._is_set("oversized-request", "close"):
            raise ProtocolError("a request larger than DPS takes")
        if retain and self._is_set("retained-publish", "close"):
            raise ProtocolError("a retained request")
        if not self.granted and self._is_set("unsubscribed-register", "close"):
            raise ProtocolError("a request before the subscription")
        try:
            if isinstance(request, Poll):
                return [self._handle_poll(request, now)]
            return [self._handle_register(request, body, now)]
        except RequestError as refusal:
            return self._reply_refusal(request, refusal, now)

    def close(self, graceful: bool, now: float) -> list[WriteLog]:
        """End the conversation, of which DPS remembers nothing."""
        return []

    def _handle_register(self, request: Register, body: bytes, now: float) -> SendReply:
        match = self._authenticate(now)
        self._check_throttle(self._world.registers, self._world.switches.get_number("register-limit"), now)
        payload = self._parse_body(body)
        if not match.enrollment.enabled:
            return self._reply_disabled(request, match, now)
        operation = self._find_running_operation(now)
        if operation is None:
            operation = self._start_operation(match, payload, now)
        return self._reply_assigning(request, operation, {})

    def _authenticate(self, now: float) -> Match:
        """Check all that CONNECT said; raises RequestError."""
        if not self._is_our_scope():
            raise _SCOPE_REFUSALS[self._world.switches.get_word("unknown-scope")]
        if self._is_set("api-version", "400") and not _API_VERSION.fullmatch(self._login.api_version):
            raise RequestError(400, 400000, "Invalid api-version.")
        if not self._is_allowed_id():
            raise RequestError(400, 400000, "Invalid registration id.")
        return authenticate(self._world, self._login, self._credential, now)

    def _parse_body(self, body: bytes) -> dict[str, Any] | None:
        """Return the payload of a register request, or None; raises RequestError."""
        try:
            registration_id, payload = parse_register_body(body)
        except ProtocolError:
            raise RequestError(400, 400000, "Invalid request body.") from None
        if registration_id is not None and registration_id.lower() != self.name:
            raise RequestError(400, 400000, "The registrationId in the body is not the one of the connection.")
        return payload

    def _reply_disabled(self, request: Register, match: Match, now: float) -> SendReply:
        choice = self._world.switches.get_word("disabled-answer")
        if choice == "401":
            raise RequestError(*UNAUTHORIZED)
        state = {"registrationId": self.name, "status": "disabled", "lastUpdatedDateTimeUtc": format_timestamp(now)}
        if choice == "status":
            return _make_reply(request, Reply(200, request.request_id), "", "disabled", state)
        registration = Registration(self.name, now, now, "disabled", self._world.make_etag(), {})
        operation = self._remember(Operation(self._world.make_operation_id(), registration, now, self._polls()))
        return self._reply_assigning(request, operation, {})

    def _find_running_operation(self, now: float) -> Operation | None:
        """Return the operation that a second register request continues, or None; raises RequestError."""
        choice = self._world.switches.get_word("second-register")
        last = self._world.last_operations.get(self.name)
        running = last is not None and not last.finished and now - last.started < ASSIGNING_SECONDS
        if not running or choice == "new":
            return None
        if choice == "412":
            raise RequestError(412, 412000, "Precondition failed")
        return last

    def _start_operation(self, match: Match, payload: dict[str, Any] | None, now: float) -> Operation:
        registration = provision(self._world, self.name, match, payload, now)
        return self._remember(Operation(self._world.make_operation_id(), registration, now, self._polls()))

    def _remember(self, operation: Operation) -> Operation:
        """Remember an operation, forget those that are too old, and return it."""
        operations, oldest = self._world.operations, operation.started - KEPT
        for name in list(itertools.takewhile(lambda name: operations[name].started < oldest, operations)):
            del operations[name]
        operations[operation.operation_id] = self._world.last_operations[self.name] = operation
        return operation

    def _handle_poll(self, request: Poll, now: float) -> SendReply:
        self._authenticate(now)
        calls = self._world.polls.setdefault(self.name, deque())
        self._check_throttle(calls, self._world.switches.get_number("poll-limit"), now)
        operation = self._world.operations.get(request.operation_id)
        if operation is None or operation.registration.registration_id != self.name:
            raise RequestError(404, 404203, "Operation not found.")
        if operation.polls_left > 0:
            operation.polls_left -= 1
            state = {"registrationId": self.name, "status": "assigning"}
            return self._reply_assigning(request, operation, state)
        operation.finished = True
        registration, reply = operation.registration, Reply(200, request.request_id)
        state = make_registration_state(registration)
        return _make_reply(request, reply, operation.operation_id, registration.status, state)

    def _check_throttle(self, calls: deque[float], limit: int, now: float) -> None:
        """Count a call; raises RequestError when there were `limit` in the last WINDOW. limit: 0 for none."""
        while calls and calls[0] <= now - WINDOW:
            calls.popleft()
        if limit and len(calls) >= limit:
            raise RequestError(429, 429001, "Operations are being throttled for this tenant.")
        calls.append(now)

    def _reply_assigning(self, request: Register | Poll, operation: Operation, state: dict[str, Any]) -> SendReply:
        reply = Reply(202, request.request_id, self._retry_after())
        return _make_reply(request, reply, operation.operation_id, "assigning", state)

    def _reply_refusal(self, request: Register | Poll, refusal: RequestError, now: float) -> list[Action]:
        retry_after = self._retry_after() if refusal.status == 429 else None
        error = ErrorBody(refusal.error_code, refusal.message, self._world.make_guid())
        action = SendReply(
            moment=_name_reply(request),
            reply=Reply(refusal.status, request.request_id, retry_after),
            body=encode_error_body(error, format_timestamp(now)),
            noted={"errorCode": refusal.error_code, "message": refusal.message},
        )
        if refusal.status != 401:
            return [action]
        return [action, Pause(self._world.switches.get_number("hang-up-delay") / 1000), HangUp("after a 401")]

    def _retry_after(self) -> int | None:
        return self._world.switches.get_number("retry-after") or None

    def _polls(self) -> int:
        return self._world.switches.get_number("polls")

    def _is_set(self, name: str, word: str) -> bool:
        return self._world.switches.get_word(name) == word

    def _is_our_scope(self) -> bool:
        return self._login.id_scope.lower() == self._world.enrollments.id_scope.lower()

    def _is_allowed_id(self) -> bool:
        try:
            check_registration_id(self.name, x509=False)
        except Problem:
            return False
        return True


_SCOPE_REFUSALS = {
    "connack": RequestError(*UNAUTHORIZED),
    "401": RequestError(*UNAUTHORIZED),
    "404": RequestError(404, 404201, "Enrollment not found."),
}


def make_registration_state(registration: Registration) -> dict[str, Any]:
    """Return the registrationState of a registration that has ended, its members in the order seen live."""
    state: dict[str, Any] = dict(registration.attestation)
    state |= {
        "registrationId": registration.registration_id,
        "createdDateTimeUtc": format_timestamp(registration.created),
    }
    if registration.status == "assigned":
        state |= {"assignedHub": registration.hub, "deviceId": registration.device_id}
    state["status"] = registration.status
    if registration.substatus and registration.status == "assigned":
        state["substatus"] = registration.substatus
    if registration.error_code is not None:
        state |= {"errorCode": registration.error_code, "errorMessage": registration.error_message}
    state |= {"lastUpdatedDateTimeUtc": format_timestamp(registration.updated), "etag": registration.etag}
    if registration.answer_payload is not None and registration.status == "assigned":
        state["payload"] = registration.answer_payload
    return state


def _make_reply(
    request: Register | Poll, reply: Reply, operation_id: str, status: str, state: dict[str, Any]
) -> SendReply:
    body = encode_operation(OperationBody(operation_id, status, Table(state, "registrationState")))
    shown = ("assignedHub", "deviceId", "substatus", "errorCode", "errorMessage")
    noted = {"registrationStatus": status, **{key: state[key] for key in shown if key in state}}
    return SendReply(_name_reply(request), reply, body, noted)


def _name_reply(request: Register | Poll) -> str:
    return "register-reply" if isinstance(request, Register) else "poll-reply"
