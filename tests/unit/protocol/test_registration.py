"""The registration machine: told what DPS says, it says what to do next."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dpsd.errors import EXIT_LATER, PROBLEMS, Problem, Retry
from dpsd.protocol.dps import ErrorBody, Reply, encode_error_body, encode_reply_topic
from dpsd.protocol.registration import (
    Finish,
    Ignore,
    Publish,
    Registration,
    StartOver,
    State,
    Subscribe,
    Wait,
    choose_poll_delay,
)
from tests.unit.examples import ANY_TEXT, JSON_VALUES, problem_of

OPERATION_ID = "5.71cf7e385566aa10.4469ed4c-dc19-4af8-8b36-9ef6396ac1b3"
ASSIGNING = {"operationId": OPERATION_ID, "status": "assigning"}
ASSIGNED = {
    "operationId": OPERATION_ID,
    "status": "assigned",
    "registrationState": {"assignedHub": "hub-a.azure-devices.net", "deviceId": "rpi-0001", "status": "assigned"},
}
PUT = "$dps/registrations/PUT/iotdps-register/?$rid="
GET = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="


def requesting(operation_id: str | None = None) -> Registration:
    """A machine that has sent its first request, with the id a-1."""
    machine = Registration("rpi-0001", None, "a", operation_id)
    machine.start()
    machine.subscribed()
    return machine


def told(
    machine: Registration, status: int, body: Any, request_id: str = "a-1", retry_after: int | None = None
) -> Publish | Wait | Ignore | StartOver | Finish:
    """Let DPS answer; a body that is no bytes goes as JSON."""
    topic = encode_reply_topic(Reply(status, request_id, retry_after))
    return machine.received(topic, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_the_published_dialogue_ends_in_an_assignment() -> None:
    machine = Registration("rpi-0001", None, "a")
    assert machine.start() == Subscribe("$dps/registrations/res/#")
    assert machine.subscribed() == Publish(f"{PUT}a-1", b'{"registrationId":"rpi-0001"}')
    assert told(machine, 202, ASSIGNING, "a-1", 3) == Wait(3)
    assert machine.waited() == Publish(f"{GET}a-2&operationId={OPERATION_ID}", b"")
    assert told(machine, 202, {**ASSIGNING, "registrationState": {"status": "assigning"}}, "a-2", 3) == Wait(3)
    assert machine.waited() == Publish(f"{GET}a-3&operationId={OPERATION_ID}", b"")
    finished = told(machine, 200, ASSIGNED, "a-3")
    assert isinstance(finished, Finish)
    assert (finished.assignment.hub, finished.assignment.device_id) == ("hub-a.azure-devices.net", "rpi-0001")
    assert machine.state is State.ASSIGNED


def test_a_payload_is_sent_with_the_request() -> None:
    machine = Registration("rpi-0001", {"modelId": "m"}, "a")
    machine.start()
    assert json.loads(machine.subscribed().body) == {"registrationId": "rpi-0001", "payload": {"modelId": "m"}}


def test_a_first_answer_may_assign_at_once() -> None:
    assert isinstance(told(requesting(), 200, ASSIGNED), Finish)


def test_an_operation_of_an_earlier_attempt_is_polled_first() -> None:
    machine = Registration("rpi-0001", None, "b", OPERATION_ID)
    machine.start()
    assert machine.subscribed() == Publish(f"{GET}b-1&operationId={OPERATION_ID}", b"")


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 3), (0, 1), (1, 1), (3, 3), (60, 60)])
def test_the_first_retry_after_is_honoured_within_bounds(retry_after: int | None, seconds: int) -> None:
    assert told(requesting(), 202, ASSIGNING, retry_after=retry_after) == Wait(seconds)


@pytest.mark.parametrize(("text", "seconds"), [("-1", 3), ("abc", 3), ("", 3), ("0", 1), ("2.5", 3), ("٣", 3)])
def test_a_retry_after_that_is_no_number_is_the_default(text: str, seconds: int) -> None:
    topic = f"$dps/registrations/res/202/?$rid=a-1&retry-after={text}"
    assert requesting().received(topic, json.dumps(ASSIGNING).encode()) == Wait(seconds)


@pytest.mark.parametrize(("retry_after", "seconds"), [(61, 61), (300, 300), (301, 300), (10**12, 300)])
def test_a_long_retry_after_ends_the_attempt_and_keeps_the_operation(retry_after: int, seconds: int) -> None:
    machine = requesting()
    problem = problem_of("dps-assigning", lambda: told(machine, 202, ASSIGNING, retry_after=retry_after))
    assert problem.retry_after == seconds
    assert problem.kind.exit_status == EXIT_LATER
    assert machine.operation_id == OPERATION_ID


@given(st.none() | st.integers())
def test_a_poll_delay_stays_within_its_bounds(retry_after: int | None) -> None:
    assert 1 <= choose_poll_delay(retry_after) <= 300


@pytest.mark.parametrize("request_id", ["", "a", "a-", "a-0", "a-2", "a-11", "xa-1", "A-1"])
def test_a_reply_to_another_request_changes_nothing(request_id: str) -> None:
    machine = requesting()
    assert told(machine, 401, b"", request_id) == Ignore()
    assert told(machine, 200, ASSIGNED, request_id) == Ignore()
    assert isinstance(told(machine, 200, ASSIGNED), Finish)


def test_a_reply_while_waiting_changes_nothing() -> None:
    machine = requesting()
    told(machine, 202, ASSIGNING)
    assert told(machine, 200, ASSIGNED) == Ignore()
    assert machine.state is State.WAITING


@pytest.mark.parametrize("step", ["start", "waited", "subscribed"])
def test_a_step_out_of_its_order_is_a_bug(step: str) -> None:
    with pytest.raises(AssertionError, match="registration is requesting, not "):
        getattr(requesting(), step)()


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"status": "disabled", "operationId": ""}, "dps-disabled", "is disabled"),
        ({"status": "blacklisted"}, "dps-disabled", "is blacklisted"),
        ({"status": "unassigned"}, "dps-unassigned", "is unassigned, and does not assign it"),
        ({"status": "Disabled"}, "dps-reply-invalid", "unknown status 'Disabled'"),
        ({"status": "\x1b\n"}, "dps-reply-invalid", r"unknown status '\x1b\x0a'"),
        ({"status": "failed", "registrationState": {}}, "dps-failed", "DPS could not assign an IoT Hub"),
        ({"status": "failed", "registrationState": {"errorCode": "x", "errorMessage": 7}}, "dps-failed", ": 7"),
        (
            {"status": "failed", "registrationState": {"errorCode": 400207, "errorMessage": "Custom\nREADY=1"}},
            "dps-failed",
            r", error 400207: Custom\x0aREADY=1",
        ),
    ],
)
def test_a_status_under_200_that_is_no_assignment_is_named(body: Any, code: str, said: str) -> None:
    assert problem_of(code, lambda: told(requesting(), 200, body)).sentence.endswith(said)


@pytest.mark.parametrize(
    ("status", "code", "retry"),
    [
        (100, "dps-unavailable", Retry.SERVICE),
        (302, "dps-unavailable", Retry.SERVICE),
        (400, "dps-bad-request", Retry.REFUSED),
        (401, "dps-unauthorized", Retry.REFUSED),
        (403, "dps-unauthorized", Retry.REFUSED),
        (404, "dps-not-found", Retry.REFUSED),
        (409, "dps-conflict", Retry.SERVICE),
        (412, "dps-conflict", Retry.SERVICE),
        (415, "dps-bad-request", Retry.REFUSED),
        (429, "dps-throttled", Retry.THROTTLED),
        (500, "dps-unavailable", Retry.SERVICE),
        (503, "dps-unavailable", Retry.SERVICE),
        (999, "dps-unavailable", Retry.SERVICE),
    ],
)
@pytest.mark.parametrize(("retry_after", "kept"), [(None, None), (0, 0), (7, 7), (10**8, 86_400)])
def test_a_refused_request_is_named_and_keeps_its_retry_after(
    status: int, code: str, retry: Retry, retry_after: int | None, kept: int | None
) -> None:
    problem = problem_of(code, lambda: told(requesting(), status, b"", retry_after=retry_after))
    assert problem.kind.retry is retry
    assert problem.retry_after == kept
    assert problem.sentence == f"DPS answered {status}"


def test_a_fault_is_told_with_code_message_and_tracking_id() -> None:
    body = encode_error_body(ErrorBody(401002, "Invalid\ncertificate.", "2cb8f317"), "2026-01-10T21:39:05.1573304Z")
    problem = problem_of("dps-unauthorized", lambda: told(requesting(), 401, body))
    said = r"DPS answered 401, error 401002: Invalid\x0acertificate. (tracking id 2cb8f317)"
    assert problem.sentence == said


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (401000, "Unauthorized", "derived one"),
        (401002, "CA certificate not found.", "intermediates"),
        (401002, "Invalid certificate.", "enroll this certificate"),
        (401002, "Unauthorized", PROBLEMS["dps-unauthorized"].hint),
        (None, "CA certificate not found.", PROBLEMS["dps-unauthorized"].hint),
    ],
)
def test_an_error_code_that_says_more_than_the_status_gives_an_exact_hint(
    error: int | None, message: str, hint: str
) -> None:
    body = {"errorCode": error, "message": message} if error else {"message": message}
    assert hint in problem_of("dps-unauthorized", lambda: told(requesting(), 401, body)).hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (400207, "custom allocation"),
        (400208, "link an IoT Hub"),
        (400209, "IoT Central"),
        (401002, "does not accept the key that DPS has"),
        (401000, PROBLEMS["dps-failed"].hint),
    ],
)
def test_the_error_code_of_a_failed_assignment_gives_an_exact_hint(error: int, hint: str) -> None:
    body = {"status": "failed", "registrationState": {"errorCode": error, "errorMessage": "CA certificate not found"}}
    assert hint in problem_of("dps-failed", lambda: told(requesting(), 200, body)).hint


@pytest.mark.parametrize(("status", "error"), [(404, 404201), (404, 404203), (400, 404203)])
def test_an_operation_that_is_gone_restarts_with_a_register_once(status: int, error: int) -> None:
    machine = requesting(OPERATION_ID)
    assert told(machine, status, {"errorCode": error}) == Publish(f"{PUT}a-2", b'{"registrationId":"rpi-0001"}')
    assert told(machine, 202, ASSIGNING, "a-2") == Wait(3)
    machine.waited()
    with pytest.raises(Problem):
        told(machine, status, {"errorCode": error}, "a-3")
    assert machine.operation_id is None


def test_an_operation_that_is_gone_with_the_connection_starts_over_on_another_one_once() -> None:
    machine = requesting(OPERATION_ID)
    assert told(machine, 401, {"errorCode": 404203}) == StartOver()
    assert (machine.state, machine.operation_id) == (State.NEW, None)
    assert machine.start() == Subscribe("$dps/registrations/res/#")
    assert machine.subscribed() == Publish(f"{PUT}a-2", b'{"registrationId":"rpi-0001"}')
    assert told(machine, 401, {"errorCode": 404203}) == Ignore()
    assert told(machine, 202, ASSIGNING, "a-2") == Wait(3)
    machine.waited()
    problem_of("dps-unauthorized", lambda: told(machine, 401, {"errorCode": 404203}, "a-3"))


def test_a_register_that_finds_no_enrollment_does_not_restart() -> None:
    machine = requesting()
    problem_of("dps-not-found", lambda: told(machine, 404, {"errorCode": 404201}))


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("$dps/registrations/res/200/?$rid=a-1", b""),
        ("$dps/registrations/res/200/?$rid=a-1", b"{}"),
        ("$dps/registrations/res/200/?$rid=a-1", b'{"status":"assigned"}'),
        ("$dps/registrations/res/202/?$rid=a-1", b'{"status":"assigning"}'),
        ("$dps/registrations/res/200/?$rid=a-1", b"x" * 100_000),
        ("$dps/registrations/res/20/?$rid=a-1", b"{}"),
        ("$iothub/twin/res/200/?$rid=a-1", b"{}"),
        ("", b""),
    ],
)
def test_what_dps_would_not_say_is_named(topic: str, body: bytes) -> None:
    problem = problem_of("dps-reply-invalid", lambda: requesting().received(topic, body))
    assert problem.sentence.startswith("DPS answered something that is not a reply: ")


@pytest.mark.parametrize("payload", ['"' + "x" * 100_000 + '"', "[" * 70 + "]" * 70, "[" * 40_000 + "]" * 40_000])
def test_a_payload_that_cannot_be_read_is_the_custom_allocation_functions(payload: str) -> None:
    body = f'{{"status":"assigned","registrationState":{{"payload":{payload}}}}}'
    problem = problem_of("dps-reply-invalid", lambda: told(requesting(), 200, body.encode()))
    assert problem.sentence.endswith("a payload as large or deep comes from the custom allocation function")


@pytest.mark.parametrize("operation_id", ["\ud800", "a\0b", "a b", "a\n", "é", "x" * 257])
def test_an_operation_id_that_no_topic_or_argument_carries_is_refused(operation_id: str) -> None:
    machine = requesting()
    body = {**ASSIGNING, "operationId": operation_id}
    problem = problem_of("dps-reply-invalid", lambda: told(machine, 202, body))
    assert "operationId" in problem.sentence
    assert machine.operation_id is None


INVALID = {"status": "assigned", "registrationState": {"assignedHub": "a b", "deviceId": "rpi-0001"}}


@pytest.mark.parametrize(
    ("status", "body", "is_resumed"),
    [
        (200, INVALID, False),
        (200, {"status": "failed"}, False),
        (200, {"status": "disabled"}, False),
        (200, {"status": "unassigned"}, False),
        (400, {}, False),
        (401, {}, False),
        (409, {}, True),
        (429, {}, True),
        (503, {}, True),
        (200, {"no": "status"}, True),
    ],
)
def test_an_operation_is_resumed_until_it_is_decided(status: int, body: Any, is_resumed: bool) -> None:
    machine = requesting(OPERATION_ID)
    with pytest.raises(Problem):
        told(machine, status, body)
    assert machine.operation_id == (OPERATION_ID if is_resumed else None)


def test_an_operation_that_has_assigned_is_not_resumed() -> None:
    machine = requesting(OPERATION_ID)
    told(machine, 200, ASSIGNED)
    assert machine.operation_id is None


def test_an_operation_id_that_is_refused_does_not_take_the_place_of_the_one_that_is_polled() -> None:
    machine = requesting(OPERATION_ID)
    problem_of("dps-reply-invalid", lambda: told(machine, 202, {**ASSIGNING, "operationId": "a b"}))
    assert machine.operation_id == OPERATION_ID


def test_an_assignment_that_must_not_be_used_is_named() -> None:
    machine = requesting()
    problem_of("assignment-invalid", lambda: told(machine, 200, INVALID))
    assert machine.state is not State.ASSIGNED


def test_an_endless_error_code_is_cut() -> None:
    problem = problem_of("dps-unauthorized", lambda: told(requesting(), 401, b'{"errorCode":' + b"9" * 4000 + b"}"))
    assert len(problem.sentence) < 100


class AnyDialogue(RuleBasedStateMachine):
    """Whatever arrives, the machine gives an action or a Problem, and each action fits its state."""

    @initialize(operation_id=st.none() | st.just(OPERATION_ID))
    def begin(self, operation_id: str | None) -> None:
        self.machine = Registration("rpi-0001", None, "a", operation_id)
        self.requests = 1
        self.machine.start()
        self.follow(self.machine.subscribed())

    def follow(self, action: Publish | Wait | Ignore | StartOver | Finish) -> None:
        expected = {Publish: State.REQUESTING, Wait: State.WAITING, Finish: State.ASSIGNED, StartOver: State.NEW}
        assert self.machine.state is expected.get(type(action), self.machine.state)
        if isinstance(action, Publish):
            assert f"?$rid=a-{self.requests}" in action.topic
            assert action.topic.isascii() and len(action.topic) < 65_536
        if isinstance(action, Wait):
            assert 1 <= action.seconds <= 60

    def hear(self, topic: str, body: bytes) -> None:
        try:
            action = self.machine.received(topic, body)
        except Problem as problem:
            assert problem.sentence.isprintable() and problem.sentence.isascii()
            return
        self.requests += isinstance(action, Publish)
        self.follow(action)
        if isinstance(action, StartOver):
            self.requests += 1
            self.machine.start()
            self.follow(self.machine.subscribed())

    @rule(topic=ANY_TEXT, body=st.binary())
    def hear_anything(self, topic: str, body: bytes) -> None:
        self.hear(topic, body)

    @rule(
        status=st.sampled_from([200, 202, 400, 401, 404, 429, 500]),
        retry_after=st.none() | st.integers(0, 100),
        body=st.fixed_dictionaries(
            {"status": st.sampled_from(["assigned", "assigning", "assigning", "failed", "disabled"]) | ANY_TEXT},
            optional={
                "operationId": st.just(OPERATION_ID) | ANY_TEXT,
                "registrationState": st.just(ASSIGNED["registrationState"]) | JSON_VALUES,
                "errorCode": st.just(404203) | JSON_VALUES,
                "message": ANY_TEXT,
            },
        ),
    )
    def hear_an_answer(self, status: int, retry_after: int | None, body: dict[str, Any]) -> None:
        topic = encode_reply_topic(Reply(status, f"a-{self.requests}", retry_after))
        self.hear(topic, json.dumps(body).encode())

    @precondition(lambda self: self.machine.state is State.WAITING)
    @rule()
    def let_time_pass(self) -> None:
        self.requests += 1
        self.follow(self.machine.waited())


TestAnyDialogue = AnyDialogue.TestCase
TestAnyDialogue.settings = settings(stateful_step_count=20)
