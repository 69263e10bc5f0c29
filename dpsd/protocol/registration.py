"""The registration of one device, as a state machine.

    NEW --start--> SUBSCRIBING --subscribed--> REQUESTING --received--> WAITING --waited--> REQUESTING ...
         ^                                         |
         +-- received: the connection will end ----+-- received --> ASSIGNED

Two rules: only the four methods that the arrows name move the machine, and all of them are in this file; and the
machine knows no socket and no clock: the caller tells it what happened, and it says what to do next.

Each method returns the next action, or raises the Problem that ends the registration. After a Problem the caller may
read `operation_id`, to resume the operation in a later attempt. A reply to an earlier request (another request id)
changes nothing. The status of a reply and the status in its body decide together, since DPS sends `failed` and
`disabled` with status 200.
"""

from __future__ import annotations

import enum
import re
from typing import Any, NamedTuple

from dpsd.errors import Problem, ProtocolError, Retry
from dpsd.protocol import dps
from dpsd.protocol.assignment import Assignment, parse_assignment
from dpsd.protocol.dps import FAILED, REFUSED, find_hint
from dpsd.text import printable

POLL_DEFAULT = 3
"""Seconds between polls if the service names none: what it usually names, within its limit of 5 polls in 10 s."""
POLL_MIN, POLL_MAX = 1, 300
"""Seconds; a shorter or longer retry-after between polls is not followed."""
WAIT_IN_ATTEMPT = 60
"""Seconds; a longer wait ends the attempt, and a later attempt resumes the operation."""
HANGS_UP_AFTER = 401
"""The status after which DPS closes the connection, as seen live."""
RETRY_AFTER_MAX = 24 * 3600
"""Seconds; a longer retry-after of an error is cut to this."""

# An operation id is opaque: 55 characters when seen live. It goes into a topic and onto a later attempt's command line.
_OPERATION_ID = re.compile(r"[!-~]{1,256}")


class State(enum.Enum):
    """The states of the diagram above."""

    NEW = "new"
    SUBSCRIBING = "subscribing"
    REQUESTING = "requesting"
    WAITING = "waiting"
    ASSIGNED = "assigned"


class Subscribe(NamedTuple):
    """Subscribe at QoS 1, then call `subscribed`."""

    topic_filter: str


class Publish(NamedTuple):
    """Publish at QoS 1, then call `received` with every message that arrives."""

    topic: str
    body: bytes


class Wait(NamedTuple):
    """Let `seconds` pass, then call `waited`."""

    seconds: int


class Ignore(NamedTuple):
    """The message was not the expected one: keep waiting."""


class StartOver(NamedTuple):
    """The operation is gone, and DPS ends this connection: call `start` on another one."""


class Finish(NamedTuple):
    """The device is assigned; disconnect."""

    assignment: Assignment


class Registration:
    """One registration. request_token: random text, so that no other session has the same request ids."""

    def __init__(
        self,
        registration_id: str,
        payload: dict[str, Any] | None,
        request_token: str,
        operation_id: str | None = None,
    ) -> None:
        self.state = State.NEW
        self.operation_id = operation_id
        self._registration_id = registration_id
        self._payload = payload
        self._request_token = request_token
        self._requests = 0
        self._restarted = False

    def start(self) -> Subscribe:
        """Begin the registration of a connected device."""
        self._move(State.NEW, State.SUBSCRIBING)
        return Subscribe(dps.REPLY_FILTER)

    def subscribed(self) -> Publish:
        """Go on after DPS accepted the subscription."""
        self._move(State.SUBSCRIBING, State.REQUESTING)
        return self._request()

    def waited(self) -> Publish:
        """Go on after the seconds of a `Wait`."""
        self._move(State.WAITING, State.REQUESTING)
        return self._request()

    def received(self, topic: str, body: bytes) -> Publish | Wait | Ignore | StartOver | Finish:
        """Go on after a message arrived; raises Problem, `dps-reply-invalid` for a message that DPS would not send."""
        try:
            reply = dps.parse_reply_topic(topic)
            if self.state is not State.REQUESTING or reply.request_id != self._request_id():
                return Ignore()
            return self._read_success(reply, body) if 200 <= reply.status < 300 else self._read_error(reply, body)
        except ProtocolError as error:
            sentence = f"DPS answered something that is not a reply: {printable(error)}"
            raise Problem("dps-reply-invalid", sentence) from None

    def _request(self) -> Publish:
        self._requests += 1
        if self.operation_id is None:
            body = dps.encode_register_body(self._registration_id, self._payload)
            return Publish(dps.encode_register_topic(self._request_id()), body)
        return Publish(dps.encode_poll_topic(self._request_id(), self.operation_id), b"")

    def _request_id(self) -> str:
        return f"{self._request_token}-{self._requests}"

    def _read_success(self, reply: dps.Reply, body: bytes) -> Wait | Finish:
        operation = dps.parse_operation(body)
        if operation.status == "assigned":
            self.operation_id = None  # decided: nothing to resume, even if the assignment cannot be used
            assignment = parse_assignment(operation.state)
            self._move(State.REQUESTING, State.ASSIGNED)
            return Finish(assignment)
        if operation.status == "assigning":
            return self._wait(reply, operation)
        self.operation_id = None
        raise _make_outcome_problem(operation)

    def _wait(self, reply: dps.Reply, operation: dps.Operation) -> Wait:
        operation_id = operation.operation_id or self.operation_id
        if operation_id is None or not _OPERATION_ID.fullmatch(operation_id):
            raise ProtocolError("operationId: expected 1 to 256 printable characters")
        self.operation_id = operation_id
        seconds = choose_poll_delay(reply.retry_after)
        if seconds > WAIT_IN_ATTEMPT:
            raise Problem("dps-assigning", f"DPS asks to poll again in {seconds} s", retry_after=seconds)
        self._move(State.REQUESTING, State.WAITING)
        return Wait(seconds)

    def _read_error(self, reply: dps.Reply, body: bytes) -> Publish | StartOver:
        error = dps.parse_error_body(body)
        if self.operation_id is not None and _operation_is_gone(reply, error):
            self.operation_id = None
            if not self._restarted:  # once, since a service that always answers so would keep the device busy
                self._restarted = True
                return self._start_over() if reply.status == HANGS_UP_AFTER else self._request()
        problem = _make_error_problem(reply, error)
        if problem.kind.retry is Retry.REFUSED:
            self.operation_id = None
        raise problem

    def _start_over(self) -> StartOver:
        self._move(State.REQUESTING, State.NEW)
        return StartOver()

    def _move(self, expected: State, to: State) -> None:
        if self.state is not expected:
            raise AssertionError(f"registration is {self.state.value}, not {expected.value}")
        self.state = to


def choose_poll_delay(retry_after: int | None) -> int:
    """Return the seconds until the next poll. retry_after: the service's, in seconds, or None."""
    return POLL_DEFAULT if retry_after is None else min(max(retry_after, POLL_MIN), POLL_MAX)


def _operation_is_gone(reply: dps.Reply, error: dps.ErrorBody) -> bool:
    return reply.status == 404 or error.error_code == 404203


_STATUS_CODES = {401: "dps-unauthorized", 403: "dps-unauthorized", 404: "dps-not-found", 429: "dps-throttled"}
_STATUS_CODES |= {409: "dps-conflict", 412: "dps-conflict"}


def _make_error_problem(reply: dps.Reply, error: dps.ErrorBody) -> Problem:
    retry_after = None if reply.retry_after is None else min(reply.retry_after, RETRY_AFTER_MAX)
    code = _STATUS_CODES.get(reply.status, "dps-bad-request" if 400 <= reply.status < 500 else "dps-unavailable")
    said = f"DPS answered {reply.status}{_quote(error)}"
    return Problem(code, said, hint=find_hint(error, REFUSED), retry_after=retry_after)


def _quote(error: dps.ErrorBody) -> str:
    code = "" if error.error_code is None else f", error {printable(error.error_code, 20)}"
    message = f": {printable(error.message)}" if error.message else ""
    tracking = f" (tracking id {printable(error.tracking_id, 60)})" if error.tracking_id else ""
    return code + message + tracking


# `blacklisted` is an earlier name of `disabled`, which Microsoft's SDK for C still knows.
_REFUSALS = {
    "disabled": ("dps-disabled", "DPS says that this device's enrollment is disabled"),
    "blacklisted": ("dps-disabled", "DPS says that this device is blacklisted"),
    "unassigned": ("dps-unassigned", "DPS says that this device is unassigned, and does not assign it"),
}
"""Problem by status."""


def _make_outcome_problem(operation: dps.Operation) -> Problem:
    if operation.status in _REFUSALS:
        return Problem(*_REFUSALS[operation.status])
    if operation.status == "failed":
        code, message = operation.state.values.get("errorCode"), operation.state.values.get("errorMessage")
        error = dps.ErrorBody(code if isinstance(code, int) else None, str(message or ""), "")
        return Problem("dps-failed", f"DPS could not assign an IoT Hub{_quote(error)}", hint=find_hint(error, FAILED))
    return Problem("dps-reply-invalid", f"DPS answered the unknown status '{printable(operation.status)}'")
