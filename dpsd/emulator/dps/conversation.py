"""What DPS answers: one `DpsConversation` per connection. Pure; time comes in.

Sources: the fact sheet's sections 1, 2 and 9. A bad credential passes CONNECT and is refused at the register stage, as
seen live; after a 401 the service hangs up.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from typing import Any

from dpsd.emulator.dps.attestation import UNAUTHORIZED, Credential, Match, RequestError, authenticate
from dpsd.emulator.dps.provisioning import provision
from dpsd.emulator.dps.steps import ACCEPTED, NOT_AUTHORIZED, Answer, Event, HangUp, Pause, Step
from dpsd.emulator.wire.packets import Connect
from dpsd.emulator.world import Operation, Registration, World, timestamp
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
"""Seconds over which calls are counted (quota page)."""
ASSIGNING_SECONDS = 30.0
"""After this an operation has ended on the service's side, polled or not."""
KEPT = 3600.0
"""Seconds after its start for which an operation is known; later polls get 404203."""
_API_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?")


class DpsConversation:
    """One device's connection to DPS."""

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
        """Return the CONNACK code. The session is never persistent here, whatever CleanSession says."""
        lifetime = self._world.switches.number("dps-lifetime")
        self.deadline = now + lifetime if lifetime else None
        if connect.client_id.lower() != self.name or self._refused_at_connect(connect):
            return NOT_AUTHORIZED
        if self._is("strict-connect", "on"):
            try:
                authenticate(self._world, self._login, self._credential, now)
            except RequestError:
                return NOT_AUTHORIZED
        return ACCEPTED

    def _refused_at_connect(self, connect: Connect) -> bool:
        return (
            (self._is("unknown-scope", "connack") and not self._is_our_scope())
            or (self._is("api-version", "connack") and not _API_VERSION.fullmatch(self._login.api_version))
            or (self._is("invalid-id", "connack") and not self._is_allowed_id())
            or (self._is("will-at-dps", "connack") and connect.will is not None)
        )

    def subscribe(self, filters: tuple[tuple[str, int], ...]) -> list[int] | None:
        """Grant the one filter there is, at QoS 1 at most; None where the service would hang up."""
        if any(name != REPLY_FILTER for name, _ in filters):
            return None
        granted = [min(qos, 1) for _, qos in filters]
        self.granted[REPLY_FILTER] = granted[-1]
        return granted

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        for name in filters:
            self.granted.pop(name, None)

    def moment(self, topic: str) -> str:
        """Name the request for the fault list; raises ProtocolError."""
        return "register" if isinstance(parse_request_topic(topic), Register) else "poll"

    def publish(self, topic: str, body: bytes, retain: bool, now: float) -> list[Step]:
        """Answer a request; raises ProtocolError where the service would hang up."""
        request = parse_request_topic(topic)
        if len(body) > PAYLOAD_LIMIT and self._is("oversized-request", "close"):
            raise ProtocolError("a request larger than DPS takes")
        if retain and self._is("retained-publish", "close"):
            raise ProtocolError("a retained request")
        if not self.granted and self._is("unsubscribed-register", "close"):
            raise ProtocolError("a request before the subscription")
        try:
            answer = self._poll(request, now) if isinstance(request, Poll) else self._register(request, body, now)
        except RequestError as refusal:
            return self._refuse(request, refusal, now)
        return [answer]

    def closed(self, graceful: bool, now: float) -> list[Event]:
        """A DPS connection leaves nothing behind."""
        return []

    def _register(self, request: Register, body: bytes, now: float) -> Answer:
        match = self._authenticated(now)
        self._check_throttle(self._world.registers, self._world.switches.number("register-limit"), now)
        payload = self._checked_body(body)
        if not match.enrollment.enabled:
            return self._disabled(request, match, now)
        operation = self._operation_in_progress(now)
        if operation is None:
            operation = self._start(match, payload, now)
        return self._assigning(request, "register-reply", operation, {})

    def _authenticated(self, now: float) -> Match:
        if not self._is_our_scope():
            raise _SCOPE_REFUSALS[self._world.switches.word("unknown-scope")]
        if self._is("api-version", "400") and not _API_VERSION.fullmatch(self._login.api_version):
            raise RequestError(400, 400000, "Invalid api-version.")
        if not self._is_allowed_id():
            raise RequestError(400, 400000, "Invalid registration id.")
        return authenticate(self._world, self._login, self._credential, now)

    def _checked_body(self, body: bytes) -> dict[str, Any] | None:
        try:
            registration_id, payload = parse_register_body(body)
        except ProtocolError:
            raise RequestError(400, 400000, "Invalid request body.") from None
        if registration_id is not None and registration_id.lower() != self.name:
            raise RequestError(400, 400000, "The registrationId in the body is not the one of the connection.")
        return payload

    def _disabled(self, request: Register, match: Match, now: float) -> Answer:
        choice = self._world.switches.word("disabled-answer")
        if choice == "401":
            raise RequestError(*UNAUTHORIZED)
        state = {"registrationId": self.name, "status": "disabled", "lastUpdatedDateTimeUtc": timestamp(now)}
        if choice == "status":
            return _answer("register-reply", Reply(200, request.request_id), "", "disabled", state)
        registration = Registration(self.name, now, now, "disabled", self._world.new_etag(), {})
        operation = self._keep(Operation(self._world.new_operation_id(), registration, now, self._polls()))
        return self._assigning(request, "register-reply", operation, {})

    def _operation_in_progress(self, now: float) -> Operation | None:
        choice = self._world.switches.word("second-register")
        last = self._world.last_operations.get(self.name)
        running = last is not None and not last.finished and now - last.started < ASSIGNING_SECONDS
        if not running or choice == "new":
            return None
        if choice == "412":
            raise RequestError(412, 412000, "Precondition failed")
        return last

    def _start(self, match: Match, payload: dict[str, Any] | None, now: float) -> Operation:
        registration = provision(self._world, self.name, match, payload, now)
        return self._keep(Operation(self._world.new_operation_id(), registration, now, self._polls()))

    def _keep(self, operation: Operation) -> Operation:
        """Remember it, and forget those that nobody asks for any more."""
        operations = self._world.operations
        for name in list(
            itertools.takewhile(lambda one: operations[one].started < operation.started - KEPT, operations)
        ):
            del operations[name]
        operations[operation.operation_id] = self._world.last_operations[self.name] = operation
        return operation

    def _poll(self, request: Poll, now: float) -> Answer:
        self._authenticated(now)
        calls = self._world.polls.setdefault(self.name, deque())
        self._check_throttle(calls, self._world.switches.number("poll-limit"), now)
        operation = self._world.operations.get(request.operation_id)
        if operation is None or operation.registration.registration_id != self.name:
            raise RequestError(404, 404203, "Operation not found.")
        if operation.polls_left > 0:
            operation.polls_left -= 1
            state = {"registrationId": self.name, "status": "assigning"}
            return self._assigning(request, "poll-reply", operation, state)
        operation.finished = True
        registration, reply = operation.registration, Reply(200, request.request_id)
        state = registration_state(registration)
        return _answer("poll-reply", reply, operation.operation_id, registration.status, state)

    def _check_throttle(self, calls: deque[float], limit: int, now: float) -> None:
        """Count a call, unless it is one too many; a limit of 0 is none. Raises RequestError."""
        while calls and calls[0] <= now - WINDOW:
            calls.popleft()
        if limit and len(calls) >= limit:
            raise RequestError(429, 429001, "Operations are being throttled for this tenant.")
        calls.append(now)

    def _assigning(self, request: Register | Poll, moment: str, operation: Operation, state: dict[str, Any]) -> Answer:
        reply = Reply(202, request.request_id, self._retry_after())
        return _answer(moment, reply, operation.operation_id, "assigning", state)

    def _refuse(self, request: Register | Poll, refusal: RequestError, now: float) -> list[Step]:
        retry_after = self._retry_after() if refusal.status == 429 else None
        fault = ErrorBody(refusal.error_code, refusal.message, self._world.new_guid())
        answer = Answer(
            moment="register-reply" if isinstance(request, Register) else "poll-reply",
            reply=Reply(refusal.status, request.request_id, retry_after),
            body=encode_error_body(fault, timestamp(now)),
            note={"errorCode": refusal.error_code, "message": refusal.message},
        )
        if refusal.status != 401:
            return [answer]
        return [answer, Pause(self._world.switches.number("hang-up-delay") / 1000), HangUp("after a 401")]

    def _retry_after(self) -> int | None:
        return self._world.switches.number("retry-after") or None

    def _polls(self) -> int:
        return self._world.switches.number("polls")

    def _is(self, name: str, word: str) -> bool:
        return self._world.switches.word(name) == word

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


def registration_state(registration: Registration) -> dict[str, Any]:
    """Return the registrationState of an end, its members in the order seen live."""
    state: dict[str, Any] = dict(registration.attestation)
    state |= {
        "registrationId": registration.registration_id,
        "createdDateTimeUtc": timestamp(registration.created),
    }
    if registration.status == "assigned":
        state |= {"assignedHub": registration.hub, "deviceId": registration.device_id}
    state["status"] = registration.status
    if registration.substatus and registration.status == "assigned":
        state["substatus"] = registration.substatus
    if registration.error_code is not None:
        state |= {"errorCode": registration.error_code, "errorMessage": registration.error_message}
    state |= {"lastUpdatedDateTimeUtc": timestamp(registration.updated), "etag": registration.etag}
    if registration.answer_payload is not None and registration.status == "assigned":
        state["payload"] = registration.answer_payload
    return state


def _answer(moment: str, reply: Reply, operation_id: str, status: str, state: dict[str, Any]) -> Answer:
    body = encode_operation(OperationBody(operation_id, status, Table(state, "registrationState")))
    shown = ("assignedHub", "deviceId", "substatus", "errorCode", "errorMessage")
    note = {"registrationStatus": status, **{key: state[key] for key in shown if key in state}}
    return Answer(moment, reply, body, note)
