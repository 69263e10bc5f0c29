from __future__ import annotations

import json
from typing import Any

import pytest

from dpsd.emulator.actions import Action, HangUp, Pause, SendReply
from dpsd.emulator.dps.attestation import Credential
from dpsd.emulator.dps.conversation import ASSIGNING_SECONDS, DpsConversation
from dpsd.emulator.wire.packets import ACCEPTED, NOT_AUTHORIZED, Connect
from dpsd.emulator.world import World
from dpsd.errors import ProtocolError
from dpsd.protocol.dps import REPLY_FILTER
from dpsd.protocol.login import DpsLogin
from dpsd.secret import Secret
from tests.emulator.worlds import KEY, NOW, SCOPE, WRONG_KEY, individual_key, login, with_key, world

REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=r1"


def poll_topic(operation_id: str) -> str:
    return f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=r2&operationId={operation_id}"


class Client:
    """A subscribed conversation, with the bodies of its answers parsed."""

    def __init__(self, made: World, credential: Credential | None = None, who: DpsLogin | None = None) -> None:
        self.conversation = DpsConversation(made, who or login(), credential or with_key(KEY))
        self.conversation.subscribe(((REPLY_FILTER, 1),))

    def steps(self, topic: str = REGISTER, body: bytes = b"", now: float = NOW) -> list[Action]:
        return self.conversation.publish(topic, body, False, now)

    def ask(self, topic: str = REGISTER, body: bytes = b"", now: float = NOW) -> tuple[int, dict[str, Any]]:
        answer = self.steps(topic, body, now)[0]
        assert isinstance(answer, SendReply)
        return answer.reply.status, json.loads(answer.body)

    def poll(self, operation_id: str, now: float = NOW) -> tuple[int, dict[str, Any]]:
        return self.ask(poll_topic(operation_id), b" ", now)


def connect(client_id: str = "pi") -> Connect:
    return Connect(client_id, "", Secret(b""), True, 60, 4, None)


def test_a_registration_ends_after_the_configured_polls() -> None:
    client = Client(world(individual_key(), switches=["polls=2"]))
    status, first = client.ask()
    assert (status, first["status"], "registrationState" in first) == (202, "assigning", False)
    answers = [client.poll(first["operationId"]) for _ in range(3)]
    assert [(status, body["status"]) for status, body in answers] == [
        (202, "assigning"),
        (202, "assigning"),
        (200, "assigned"),
    ]


def test_the_outcome_has_the_members_seen_live() -> None:
    client = Client(world(individual_key(), switches=["polls=0"]))
    _, body = client.poll(client.ask()[1]["operationId"])
    names = ["symmetricKey", "registrationId", "createdDateTimeUtc", "assignedHub", "deviceId", "status", "substatus"]
    assert list(body["registrationState"]) == [*names, "lastUpdatedDateTimeUtc", "etag"]
    assert len(body["operationId"]) == 55
    assert len(body["registrationState"]["createdDateTimeUtc"]) == len("2026-01-10T21:52:50.5898405Z")


def test_retry_after_stands_on_202_only() -> None:
    client = Client(world(individual_key(), switches=["polls=0", "retry-after=7"]))
    first = client.steps()[0]
    assert isinstance(first, SendReply)
    last = client.steps(poll_topic(json.loads(first.body)["operationId"]))[0]
    assert isinstance(last, SendReply)
    assert (first.reply.retry_after, last.reply.retry_after) == (7, None)


def test_a_401_is_followed_by_a_hang_up() -> None:
    answer, pause, hang_up = Client(world(individual_key()), with_key(WRONG_KEY)).steps()
    assert isinstance(answer, SendReply)
    assert (answer.reply.status, answer.reply.request_id, json.loads(answer.body)["errorCode"]) == (401, "r1", 401000)
    assert pause == Pause(0.1)
    assert isinstance(hang_up, HangUp)


def test_a_custom_allocations_payload_is_passed_on() -> None:
    answer: dict[str, Any] = {"allocationPolicy": "custom", "x-allocation": {"payload": {"a": 1}}}
    client = Client(world(individual_key(**answer), switches=["polls=0"]))
    _, body = client.poll(client.ask(body=b'{"payload":{"modelId":"m"}}')[1]["operationId"])
    assert body["registrationState"]["payload"] == {"a": 1}


def test_a_failed_allocation_ends_in_status_failed_on_200() -> None:
    entry: dict[str, Any] = {"allocationPolicy": "custom", "x-allocation": {"statusCode": 400}}
    client = Client(world(individual_key(**entry), switches=["polls=0"]))
    status, body = client.poll(client.ask()[1]["operationId"])
    assert (status, body["status"], body["registrationState"]["errorCode"]) == (200, "failed", 400207)
    assert body["registrationState"]["errorMessage"] == "Custom allocation failed with status code: 400"


def test_a_disabled_enrollment_is_answered_as_the_switch_says() -> None:
    made = world(individual_key(provisioningStatus="disabled"))
    status, body = Client(made).ask()
    assert (status, body["status"], body["registrationState"]["status"]) == (200, "disabled", "disabled")
    made.switches.set("disabled-answer", "401")
    assert Client(made).ask()[0] == 401
    made.switches.set("disabled-answer", "status-after-poll")
    made.switches.set("polls", "0")
    client = Client(made)
    assert client.poll(client.ask()[1]["operationId"])[1]["status"] == "disabled"


def test_a_disabled_enrollment_needs_its_credential_too() -> None:
    made = world(individual_key(provisioningStatus="disabled"))
    assert Client(made, with_key(WRONG_KEY)).ask()[0] == 401


@pytest.mark.parametrize("operation_id", ["", "5.0000000000000000.nothing"])
def test_an_unknown_operation_is_not_found(operation_id: str) -> None:
    status, body = Client(world(individual_key())).poll(operation_id)
    assert (status, body["errorCode"]) == (404, 404203)


def test_another_devices_operation_is_not_found() -> None:
    made = world(individual_key(), individual_key("other"))
    operation_id = Client(made).ask()[1]["operationId"]
    other = Client(made, with_key(KEY, "other"), login("other"))
    assert other.poll(operation_id)[0] == 404


def test_a_second_register_while_assigning_gets_the_same_operation() -> None:
    made = world(individual_key())
    first, second = (Client(made).ask()[1]["operationId"] for _ in range(2))
    assert first == second
    made.switches.set("second-register", "412")
    assert Client(made).ask()[0] == 412
    made.switches.set("second-register", "new")
    assert Client(made).ask()[1]["operationId"] != first


def test_an_operation_is_forgotten_after_an_hour() -> None:
    made = world(individual_key(), individual_key("other"), switches=["polls=0"])
    operation_id = Client(made).ask()[1]["operationId"]
    other = Client(made, with_key(KEY, "other", NOW + 9999), login("other"))
    other.ask(now=NOW + 3600)
    assert Client(made).poll(operation_id, NOW + 3600)[0] == 200
    other.ask(now=NOW + 3700)
    assert Client(made, with_key(KEY, expiry=NOW + 9999)).poll(operation_id, NOW + 3700)[0] == 404


def test_an_operation_nobody_polls_ends_by_itself() -> None:
    made = world(individual_key())
    first = Client(made).ask()[1]["operationId"]
    assert Client(made).ask(now=NOW + ASSIGNING_SECONDS)[1]["operationId"] != first


def test_the_sixth_poll_in_ten_seconds_is_throttled() -> None:
    client = Client(world(individual_key(), switches=["polls=20"]))
    operation_id = client.ask()[1]["operationId"]
    assert [client.poll(operation_id, NOW + second)[0] for second in range(6)] == [202] * 5 + [429]
    assert client.poll(operation_id, NOW + 11)[0] == 202


def test_register_requests_of_all_devices_are_throttled_before_they_do_anything() -> None:
    made = world(individual_key("a"), individual_key("b"), switches=["register-limit=1"])
    first, second = (Client(made, with_key(KEY, name), login(name)) for name in ("a", "b"))
    assert [first.ask()[0], second.ask(now=NOW + 9)[0]] == [202, 429]
    assert "b" not in made.registrations
    assert second.ask(now=NOW + 11)[0] == 202


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"\xff", b'{"registrationId":"other"}', b'{"registrationId":7}', b'{"payload":[]}', b"x" * 100_000],
)
def test_a_wrong_body_is_a_bad_request(body: bytes) -> None:
    assert Client(world(individual_key())).ask(body=body)[0] == 400


@pytest.mark.parametrize("body", [b"", b"{}", b'{"registrationId":"PI"}', b'{"payload":null}', b'{"x":1}'])
def test_bodies_as_sdks_send_them_are_taken(body: bytes) -> None:
    assert Client(world(individual_key())).ask(body=body)[0] == 202


def test_a_request_without_rid_is_answered_with_an_empty_one() -> None:
    answer = Client(world(individual_key())).steps("$dps/registrations/PUT/iotdps-register/?rid=1")[0]
    assert isinstance(answer, SendReply)
    assert answer.reply.request_id == ""


@pytest.mark.parametrize("topic", ["$dps/registrations/POST/x/?$rid=1", "devices/pi/messages/events/", "x"])
def test_any_other_topic_ends_the_connection(topic: str) -> None:
    with pytest.raises(ProtocolError):
        Client(world(individual_key())).steps(topic)


def test_only_the_reply_filter_may_be_subscribed() -> None:
    conversation = Client(world()).conversation
    assert conversation.subscribe(((REPLY_FILTER, 2),)) == [1]
    assert conversation.subscribe(((REPLY_FILTER, 0),)) == [0]
    assert conversation.subscribe((("$dps/registrations/res/202/#", 1),)) is None
    assert conversation.subscribe(((REPLY_FILTER, 1), ("#", 1))) is None


CODES = [
    pytest.param(connect(), login(), [], ACCEPTED, id="as it should be"),
    pytest.param(connect("PI"), login(), [], ACCEPTED, id="client id in other case"),
    pytest.param(connect("other"), login(), [], NOT_AUTHORIZED, id="client id of another"),
    pytest.param(connect(), login(scope="0ne00000000"), [], NOT_AUTHORIZED, id="another scope"),
    pytest.param(connect(), login(scope="0ne00000000"), ["unknown-scope=401"], ACCEPTED, id="scope told later"),
    pytest.param(connect(), DpsLogin(SCOPE, "pi", ""), [], NOT_AUTHORIZED, id="no api-version"),
    pytest.param(connect(), DpsLogin(SCOPE, "pi", ""), ["api-version=accept"], ACCEPTED, id="no api-version allowed"),
    pytest.param(connect("p i"), login("p i"), ["invalid-id=connack"], NOT_AUTHORIZED, id="id not allowed"),
]


@pytest.mark.parametrize(("packet", "who", "switches", "code"), CODES)
def test_connect_is_answered(packet: Connect, who: DpsLogin, switches: list[str], code: int) -> None:
    made = world(individual_key(), switches=switches)
    assert DpsConversation(made, who, with_key(KEY)).connect(packet, NOW) == code


def test_a_connections_lifetime_may_be_limited() -> None:
    made = world(individual_key(), switches=["dps-lifetime=60"])
    conversation = Client(made).conversation
    conversation.connect(connect(), NOW)
    assert conversation.deadline == NOW + 60


def test_a_wrong_key_passes_connect_unless_the_switch_is_strict() -> None:
    made = world(individual_key())
    assert Client(made, with_key(WRONG_KEY)).conversation.connect(connect(), NOW) == ACCEPTED
    made.switches.set("strict-connect", "on")
    assert Client(made, with_key(WRONG_KEY)).conversation.connect(connect(), NOW) == NOT_AUTHORIZED
    assert Client(made).conversation.connect(connect(), NOW) == ACCEPTED


@pytest.mark.parametrize(("choice", "status"), [("401", 401), ("404", 404)])
def test_an_unknown_scope_may_be_refused_at_register(choice: str, status: int) -> None:
    made = world(individual_key(), switches=[f"unknown-scope={choice}"])
    assert Client(made, who=login(scope="0ne00000000")).ask()[0] == status
