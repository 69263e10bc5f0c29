"""The exchange of a device with its hub: told what the connection does, it says what is sent and what happened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dpsd.emulator.wire import packets as server
from dpsd.emulator.wire.encoding import encode_packet
from dpsd.emulator.wire.parsing import Framing
from dpsd.errors import PROBLEMS, Problem
from dpsd.protocol.hub import CloudMessage, DesiredChange, MethodCall, TwinReply
from dpsd.protocol.hub.events import (
    CloudMessageArrived,
    DesiredChanged,
    Event,
    Failed,
    MethodCalled,
    Ready,
    Reported,
    Sent,
    StrangeArrived,
    TwinRead,
)
from dpsd.protocol.hub.exchange import ROOM, STABLE_AFTER, Exchange, State
from dpsd.protocol.hub.requests import ANSWER_LIMIT, Request, Requests
from dpsd.protocol.hub.twin import Section, Twin, encode_twin
from dpsd.protocol.hub.wishes import Wish
from dpsd.protocol.mqtt.link import PING_LIMIT, Link
from dpsd.protocol.mqtt.packets import Connect, Publish, encode_publish
from dpsd.protocol.retry import LADDERS
from tests.unit.examples import problem_of

LOGIN = Connect("pi-1", "hub/pi-1/?api-version=2021-04-12", None)
CONNACK = b"\x20\2\0\0"
TWIN = Twin(Section({"interval": 5}, 15), Section({"x": 1}, 89))
LOST = Problem("connection-lost", "gone")
TO_DEVICE = "devices/pi-1/messages/devicebound/"


def new(wish: Wish = Wish.ALL) -> Exchange:
    return Exchange("pi-1", wish, "r", "hub:8883")


def sent(exchange: Exchange) -> list[server.ClientPacket]:
    """Take what is to be sent, as the emulated hub reads it."""
    framing = Framing()
    framing.feed(bytes(exchange.output))
    exchange.output.clear()
    return list(framing.packets())


def happened(exchange: Exchange) -> list[Event]:
    events = list(exchange.events)
    exchange.events.clear()
    return events


def log_in(exchange: Exchange, now: float = 0, present: bool = False) -> None:
    """Connect, and let the hub answer CONNECT and every SUBSCRIBE."""
    exchange.connected(LOGIN, now)
    exchange.received(encode_packet(server.ConnAck(0, present)), now)
    subscriptions = [packet for packet in sent(exchange) if isinstance(packet, server.Subscribe)]
    for packet in subscriptions:
        exchange.received(encode_packet(server.SubAck(packet.packet_id, (1,))), now)


def ready(wish: Wish = Wish.ALL) -> Exchange:
    """An exchange that is ready since 0."""
    exchange = new(wish)
    log_in(exchange)
    assert happened(exchange) == [Ready(False)]
    assert exchange.state is State.READY
    return exchange


def published(exchange: Exchange) -> list[server.Publish]:
    return [packet for packet in sent(exchange) if isinstance(packet, server.Publish)]


def one(exchange: Exchange) -> server.Publish:
    (packet,) = published(exchange)
    return packet


def acknowledge(exchange: Exchange, packet: server.Publish, now: float = 1) -> None:
    assert packet.packet_id is not None
    exchange.received(encode_packet(server.PubAck(packet.packet_id)), now)


def deliver(exchange: Exchange, topic: str, body: bytes = b"", packet_id: int | None = None, now: float = 1) -> None:
    exchange.received(encode_publish(Publish(topic, body, packet_id)), now)


def answer(exchange: Exchange, question: server.Publish, status: int, body: bytes = b"", version: Any = None) -> None:
    deliver(exchange, TwinReply(status, question.topic.partition("$rid=")[2], version).encode(), body)


@pytest.mark.parametrize(
    ("wish", "filters"),
    [
        (Wish.NOTHING, []),
        (Wish.TWIN, ["$iothub/twin/res/#"]),
        (Wish.MESSAGES | Wish.METHODS, ["$iothub/methods/POST/#", "devices/pi-1/messages/devicebound/#"]),
        (Wish.DESIRED, ["$iothub/twin/PATCH/properties/desired/#"]),
    ],
)
def test_what_is_wished_is_subscribed_to(wish: Wish, filters: list[str]) -> None:
    exchange = new(wish)
    exchange.connected(LOGIN, 0)
    exchange.received(CONNACK, 0)
    packets = [packet for packet in sent(exchange) if isinstance(packet, server.Subscribe)]
    assert [packet.filters for packet in packets] == [((name, 1),) for name in filters]
    assert (exchange.state is State.READY) == (wish is Wish.NOTHING)


def test_a_module_is_refused_by_name() -> None:
    problem = problem_of("hub-modules", lambda: Exchange("pi-1/camera", Wish.ALL, "r", "hub"))
    assert "'pi-1/camera' names a module" in problem.sentence


def test_a_message_is_sent_and_acknowledged() -> None:
    exchange = ready()
    ticket = exchange.send({"$.ct": "application/json", "none": None}, b"{}", 1)
    packet = one(exchange)
    assert packet == server.Publish(
        "devices/pi-1/messages/events/%24.ct=application%2Fjson&none", b"{}", 1, packet.packet_id
    )
    assert list(exchange.unfinished) == [ticket] and not exchange.events
    acknowledge(exchange, packet)
    assert happened(exchange) == [Sent(ticket)] and not exchange.unfinished


def test_at_qos_0_a_message_is_sent_when_it_is_out() -> None:
    exchange = ready()
    ticket = exchange.send({}, b"a", 1, qos=0)
    assert one(exchange) == server.Publish("devices/pi-1/messages/events/", b"a")
    assert happened(exchange) == [Sent(ticket)]


def test_the_twin_is_read() -> None:
    exchange = ready()
    ticket = exchange.get_twin(1)
    question = one(exchange)
    assert (question.topic, question.body) == ("$iothub/twin/GET/?$rid=r-1", b"")
    acknowledge(exchange, question)
    assert not exchange.events
    answer(exchange, question, 200, encode_twin(TWIN))
    assert happened(exchange) == [TwinRead(ticket, TWIN)]


def test_properties_are_reported() -> None:
    exchange = ready()
    ticket = exchange.report({"x": 1, "y": None}, 1)
    question = one(exchange)
    assert (question.topic, question.body) == (
        "$iothub/twin/PATCH/properties/reported/?$rid=r-1",
        b'{"x":1,"y":null}',
    )
    answer(exchange, question, 204, b"", 6)
    assert happened(exchange) == [Reported(ticket, 6)]


@given(st.permutations(range(5)))
def test_answers_may_come_in_any_order(order: list[int]) -> None:
    exchange = ready()
    tickets = [exchange.report({"x": number}, 1) for number in range(5)]
    questions = published(exchange)
    for number in order:
        answer(exchange, questions[number], 204, b"", number)
    assert happened(exchange) == [Reported(tickets[number], number) for number in order]


@pytest.mark.parametrize("request_id", ["", "r-0", "r-2", "s-1", "r-11"])
def test_an_answer_that_nobody_awaits_changes_nothing(request_id: str) -> None:
    exchange = ready()
    ticket = exchange.get_twin(1)
    deliver(exchange, TwinReply(200, request_id).encode(), encode_twin(TWIN))
    assert not exchange.events and list(exchange.unfinished) == [ticket]


def test_an_answer_that_comes_late_or_twice_changes_nothing() -> None:
    exchange = ready()
    first = exchange.report({"x": 1}, 1)
    question = one(exchange)
    exchange.tick(1 + ANSWER_LIMIT)
    (failed,) = happened(exchange)
    assert isinstance(failed, Failed) and (failed.ticket, failed.problem.code) == (first, "hub-no-answer")
    answer(exchange, question, 204, b"", 1)
    answer(exchange, question, 204, b"", 1)
    acknowledge(exchange, question)
    assert not exchange.events


def test_a_late_acknowledgement_never_means_another_message() -> None:
    requests = Requests()
    late = requests.add(Request("t", b"", 1))
    requests.publish(late, Link(LOGIN, 0), False, 0)
    requests.finish(late)
    later = {requests.next_packet_id() for _ in range(70_000)}
    assert 1 not in later and len(later) == 65_534
    requests.lose()
    assert 1 in {requests.next_packet_id() for _ in range(70_000)}


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "hub-bad-request"), (404, "hub-bad-request"), (429, "hub-throttled"), (500, "hub-unavailable")],
)
def test_a_refused_question_is_named(status: int, code: str) -> None:
    exchange = ready()
    exchange.get_twin(1)
    answer(exchange, one(exchange), status, b"why\n")
    (failed,) = happened(exchange)
    assert isinstance(failed, Failed) and failed.problem.code == code
    assert failed.problem.sentence == rf"IoT Hub answered {status}: why\x0a"


def test_an_answer_that_is_no_twin_is_named() -> None:
    exchange = ready()
    exchange.get_twin(1)
    answer(exchange, one(exchange), 200, b"{}")
    (failed,) = happened(exchange)
    assert isinstance(failed, Failed) and failed.problem.code == "hub-reply-invalid"


def test_a_message_from_the_cloud_is_forgotten_by_the_hub_when_the_device_says_so() -> None:
    exchange = ready()
    topic = CloudMessage("pi-1", None, {"a": "1", "none": None}).encode()
    deliver(exchange, topic, b"body", 7)
    (message,) = happened(exchange)
    assert isinstance(message, CloudMessageArrived)
    assert (message.properties, message.body) == ({"a": "1", "none": None}, b"body")
    assert sent(exchange) == [] and message.receipt is not None
    exchange.acknowledge(message.receipt, 2)
    exchange.acknowledge(message.receipt, 2)
    assert sent(exchange) == [server.PubAck(7)]


def test_a_message_of_an_earlier_connection_is_not_acknowledged_on_the_next() -> None:
    exchange = ready()
    deliver(exchange, TO_DEVICE, b"body", 7)
    (message,) = happened(exchange)
    assert isinstance(message, CloudMessageArrived) and message.receipt is not None
    exchange.lost(LOST, 2, 0)
    log_in(exchange, 3)
    deliver(exchange, TO_DEVICE, b"body", 7)
    exchange.acknowledge(message.receipt, 4)
    assert sent(exchange) == []


def test_desired_properties_change() -> None:
    exchange = ready()
    deliver(exchange, DesiredChange(105).encode(), b'{"interval":5,"route":null,"$version":105}', 3)
    deliver(exchange, DesiredChange(None).encode(), b'{"$version":106}')
    assert happened(exchange) == [DesiredChanged(105, {"interval": 5, "route": None}), DesiredChanged(106, {})]
    assert sent(exchange) == [server.PubAck(3)]


def test_a_method_is_called_and_answered() -> None:
    exchange = ready()
    deliver(exchange, MethodCall("reboot", "7").encode(), b'{"delay":5}')
    (called,) = happened(exchange)
    assert called == MethodCalled(MethodCall("reboot", "7"), {"delay": 5})
    assert isinstance(called, MethodCalled)
    ticket = exchange.answer(called.call, 200, {"done": True}, 2)
    packet = one(exchange)
    assert (packet.topic, packet.body) == ("$iothub/methods/res/200/?$rid=7", b'{"done":true}')
    acknowledge(exchange, packet)
    assert happened(exchange) == [Sent(ticket)]


@pytest.mark.parametrize(
    ("topic", "body", "said"),
    [
        ("devices/pi-1/modules/camera/inputs/in", b"", "a message for the module 'camera'"),
        ("devices/pi-1/modules/camera/messages/devicebound/", b"", "a message for the module 'camera'"),
        ("devices/pi-2/messages/devicebound/", b"", "a message for another device, 'pi-2'"),
        ("elsewhere", b"", "not a topic that IoT Hub publishes to"),
        ("$iothub/methods/POST/reboot/?$rid=1", b"{", "the payload is not JSON"),
        ("$iothub/twin/PATCH/properties/desired/?$version=1", b"[]", "expected an object"),
    ],
)
def test_what_is_not_for_this_device_is_told_and_harms_nothing(topic: str, body: bytes, said: str) -> None:
    exchange = ready()
    deliver(exchange, topic, body, 3)
    (strange,) = happened(exchange)
    assert isinstance(strange, StrangeArrived) and said in strange.said
    assert sent(exchange) == [server.PubAck(3)]


@pytest.mark.parametrize(
    ("code", "problem"), [(1, "hub-refused"), (3, "hub-unavailable"), (4, "hub-refused"), (5, "hub-refused")]
)
def test_a_refused_login_is_named(code: int, problem: str) -> None:
    exchange = new()
    exchange.connected(LOGIN, 0)
    refused = problem_of(problem, lambda: exchange.received(bytes([0x20, 2, 0, code]), 1))
    assert refused.sentence == f"hub:8883 refused the MQTT connection with return code {code}"


def test_a_refused_subscription_is_named() -> None:
    exchange = new(Wish.TWIN)
    exchange.connected(LOGIN, 0)
    exchange.received(CONNACK, 0)
    problem = problem_of("hub-bad-request", lambda: exchange.received(b"\x90\3\0\1\x80", 1))
    assert problem.sentence == "hub:8883 refused to subscribe $iothub/twin/res/#"


def test_bytes_that_are_not_mqtt_are_named() -> None:
    exchange = new()
    exchange.connected(LOGIN, 0)
    problem = problem_of("hub-reply-invalid", lambda: exchange.received(b"HTTP/1.1 400 Bad Request\r\n" * 10, 1))
    assert problem.sentence.startswith("hub:8883 sent bytes that are not MQTT 3.1.1")


def test_a_login_that_is_not_answered_is_given_up() -> None:
    exchange = new()
    exchange.connected(LOGIN, 0)
    assert exchange.next_tick() == ANSWER_LIMIT
    exchange.tick(ANSWER_LIMIT - 0.1)
    problem_of("hub-no-answer", lambda: exchange.tick(ANSWER_LIMIT))


def test_a_hub_that_answers_no_ping_is_gone() -> None:
    exchange = ready()
    assert exchange.next_tick() == 60
    exchange.tick(60)
    assert sent(exchange) == [server.PingReq()]
    assert exchange.next_tick() == 60 + PING_LIMIT
    problem_of("connection-lost", lambda: exchange.tick(60 + PING_LIMIT))


@pytest.mark.parametrize("present", [False, True])
def test_what_was_under_way_is_sent_again_in_its_order(present: bool) -> None:
    exchange = ready()
    exchange.send({}, b"1", 1)
    exchange.report({"x": 1}, 1)
    first = published(exchange)
    exchange.lost(LOST, 2, 0)
    waiting = exchange.send({}, b"3", 3)
    assert exchange.next_tick() is None and sent(exchange) == []
    exchange.connected(LOGIN, 4)
    exchange.received(encode_packet(server.ConnAck(0, present)), 4)
    subscriptions = [packet for packet in sent(exchange) if isinstance(packet, server.Subscribe)]
    for packet in subscriptions:
        exchange.received(encode_packet(server.SubAck(packet.packet_id, (1,))), 4)
    raw = bytes(exchange.output)
    again = published(exchange)
    assert again[:2] == first and again[2].body == b"3"
    assert bool(raw[0] & 8) == present  # a duplicate only to a hub that remembers the session
    acknowledge(exchange, again[2])
    assert happened(exchange) == [Ready(present), Sent(waiting)]


def test_nothing_times_out_while_there_is_no_connection() -> None:
    exchange = ready()
    exchange.get_twin(1)
    exchange.lost(LOST, 2, 0)
    exchange.tick(1000)
    assert not any(isinstance(event, Failed) for event in exchange.events)


def test_waits_between_connections_grow_as_the_policy_says() -> None:
    exchange, ladder = new(), LADDERS[LOST.kind.retry]
    waits = [exchange.lost(LOST, number, 0.99) for number in range(10)]
    assert all(wait is not None and wait >= ladder.shortest for wait in waits)
    assert waits[0] is not None and waits[9] is not None and waits[0] < 5 and waits[9] > 200


def test_a_login_that_was_ended_soon_is_no_success_and_one_that_held_is() -> None:
    exchange = new(Wish.NOTHING)
    for number in range(8):
        log_in(exchange, number * 10)
        soon = exchange.lost(LOST, number * 10 + STABLE_AFTER - 1, 0.99)
    log_in(exchange, 1000)
    late = exchange.lost(LOST, 1000 + STABLE_AFTER, 0.99)
    assert soon is not None and late is not None and soon > 100 and late < 5


def test_a_problem_of_the_configuration_is_not_tried_again() -> None:
    assert new().lost(Problem("configuration-invalid", "wrong"), 1, 0) is None


def test_there_is_room_for_so_much_at_once() -> None:
    exchange = ready()
    for _ in range(ROOM - 1):
        exchange.send({}, b"", 1)
    before = exchange.has_room
    exchange.send({}, b"", 1)
    assert (before, exchange.has_room) == (True, False)


def test_large_messages_leave_room_for_fewer() -> None:
    other = ready()
    for _ in range(5):
        other.send({}, bytes(250_000), 1)
    assert not other.has_room


@pytest.mark.parametrize(
    "wish",
    [
        lambda exchange: exchange.send({"": "a"}, b"", 1),
        lambda exchange: exchange.send({}, bytes(300_000), 1),
        lambda exchange: exchange.send({"a": "x" * 70_000}, b"", 1),
        lambda exchange: exchange.report({"a.b": 1}, 1),
        lambda exchange: exchange.answer(MethodCall("a", "1"), 2**40, None, 1),
        lambda exchange: exchange.answer(MethodCall("a", "1"), 200, float("nan"), 1),
        lambda exchange: exchange.answer(MethodCall("a", "1"), 200, b"bytes", 1),
    ],
)
def test_what_a_hub_does_not_take_is_not_sent(wish: Any) -> None:
    exchange = ready()
    problem_of("hub-message-invalid", lambda: wish(exchange))
    assert sent(exchange) == [] and not exchange.unfinished


class AnyExchange(RuleBasedStateMachine):
    """A hub that answers now and then, and a connection that is lost: nothing that was asked for is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = new()
        self.now = 0.0
        self.open: set[int] = set()
        self.unanswered: list[server.Publish] = []

    @precondition(lambda self: self.exchange.state is State.OFFLINE)
    @rule(present=st.booleans())
    def connect(self, present: bool) -> None:
        log_in(self.exchange, self.now, present)
        self.look()

    @precondition(lambda self: self.exchange.state is not State.OFFLINE)
    @rule(fraction=st.floats(0, 0.99))
    def lose(self, fraction: float) -> None:
        assert self.exchange.lost(LOST, self.now, fraction)
        self.unanswered.clear()

    @rule(wish=st.sampled_from(["send", "fleeting", "twin", "report"]))
    def want(self, wish: str) -> None:
        calls = {
            "send": lambda: self.exchange.send({}, b"", self.now),
            "fleeting": lambda: self.exchange.send({}, b"", self.now, qos=0),
            "twin": lambda: self.exchange.get_twin(self.now),
            "report": lambda: self.exchange.report({"a": 1}, self.now),
        }
        self.open.add(calls[wish]())
        self.look()

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), status=st.sampled_from([200, 204, 429, 500]))
    def reply(self, data: st.DataObject, status: int) -> None:
        packet = data.draw(st.sampled_from(self.unanswered))
        self.unanswered.remove(packet)
        if packet.packet_id is not None:
            acknowledge(self.exchange, packet, self.now)
        if "$rid=" in packet.topic:
            answer(self.exchange, packet, status, encode_twin(TWIN))
        self.look()

    @rule(seconds=st.sampled_from([0.1, 5, 31]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        try:
            self.exchange.tick(self.now)
        except Problem:
            self.exchange.lost(LOST, self.now, 0)
            self.unanswered.clear()
        if self.exchange.state is not State.OFFLINE:
            self.exchange.received(b"\xd0\0", self.now)
        self.look()

    @rule(data=st.binary(max_size=20))
    def hear_noise(self, data: bytes) -> None:
        if self.exchange.state is State.OFFLINE:
            return
        try:
            self.exchange.received(data, self.now)
        except Problem as problem:
            assert problem.code in PROBLEMS
        self.exchange.lost(LOST, self.now, 0)
        self.unanswered.clear()
        self.look()

    def look(self) -> None:
        """Take what is sent and what happened."""
        self.unanswered += published(self.exchange)
        for event in happened(self.exchange):
            if isinstance(event, (Sent, TwinRead, Reported, Failed)):
                self.open.remove(event.ticket)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert set(self.exchange.unfinished) == self.open
        due = self.exchange.next_tick()
        assert (due is None) == (self.exchange.state is State.OFFLINE)


TestAnyExchange = AnyExchange.TestCase
TestAnyExchange.settings = settings(stateful_step_count=30)
