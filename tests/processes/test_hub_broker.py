"""A session through a unix socket to mosquitto, which is strict about MQTT and knows nothing of IoT Hub."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.hub.opening import SocketOpener
from dpsd.hub.session import Session
from dpsd.protocol.hub.events import (
    CloudMessageArrived,
    DesiredChanged,
    Event,
    MethodCalled,
    Ready,
    Reported,
    Sent,
    TwinRead,
)
from dpsd.protocol.hub.methods import MethodCall
from dpsd.protocol.hub.twin import Section, Twin
from dpsd.protocol.hub.wishes import Wish
from dpsd.protocol.mqtt.packets import Connect, Will
from tests.processes.broker import Broker
from tests.unit.examples import problem_of

LIMIT = 20.0
"""Seconds that anything may take on a busy machine."""
LOGIN = Connect("pi-1", "any/pi-1/?api-version=2021-04-12")
TO_DEVICE = "devices/pi-1/messages/devicebound/"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


def session_with(broker: Broker, login: Connect = LOGIN, patience: float | None = None) -> Session:
    return Session(SocketOpener(str(broker.path), login), "pi-1", Wish.ALL, "the broker", patience=patience)


def becomes_ready(session: Session) -> Ready:
    event = session.next_event(LIMIT)
    assert isinstance(event, Ready), event
    return event


def published(path: Path, wanted: str, session: Session) -> re.Match[str]:
    """Wait until a line is published that fits, moving the session meanwhile."""
    end = time.monotonic() + LIMIT
    while (found := re.search(wanted, path.read_text(), re.MULTILINE)) is None:
        assert time.monotonic() < end, path.read_text()
        session.wait(0.05)
    return found


def next_event(session: Session) -> Event:
    event = session.next_event(LIMIT)
    assert event is not None
    return event


def test_messages_of_both_qualities_arrive(broker: Broker, tmp_path: Path) -> None:
    broker.listen(tmp_path / "heard")
    with session_with(broker) as session:
        becomes_ready(session)
        tickets = [session.send({"$.mid": "1", "a b": "c/d", "none": None}, b"first"), session.send({}, b"second", 0)]
        assert {next_event(session), next_event(session)} == {Sent(ticket) for ticket in tickets}
        published(tmp_path / "heard", r"^1 devices/pi-1/messages/events/%24\.mid=1&a%20b=c%2Fd&none first$", session)
        published(tmp_path / "heard", r"^0 devices/pi-1/messages/events/ second$", session)


def test_the_largest_message_arrives(broker: Broker) -> None:
    with session_with(broker) as session:
        ticket = session.send({}, bytes(256 * 1024))
        assert session.result(ticket, LIMIT) == Sent(ticket)


def test_answers_come_in_another_order_late_or_never(broker: Broker, tmp_path: Path) -> None:
    broker.listen(tmp_path / "heard")
    with session_with(broker) as session:
        becomes_ready(session)
        first, second = session.report({"a": 1}), session.get_twin()
        ask = r"^1 \$iothub/twin/"
        one = published(tmp_path / "heard", ask + r'PATCH/properties/reported/\?\$rid=(\S+) {"a":1}$', session)[1]
        other = published(tmp_path / "heard", ask + r"GET/\?\$rid=(\S+) $", session)[1]
        broker.publish("$iothub/twin/res/200/?$rid=nobody", '{"desired":{},"reported":{}}')
        broker.publish(f"$iothub/twin/res/200/?$rid={other}", '{"desired":{"$version":2},"reported":{"$version":3}}')
        broker.publish(f"$iothub/twin/res/204/?$rid={one}&$version=4")
        assert session.result(second, LIMIT) == TwinRead(second, Twin(Section({}, 2), Section({}, 3)))
        assert session.result(first, LIMIT) == Reported(first, 4)
        never = session.get_twin()
        assert session.result(never, 0.2) is None
        assert session.unfinished == 1


def test_desired_properties_and_methods_come_between(broker: Broker, tmp_path: Path) -> None:
    broker.listen(tmp_path / "heard")
    with session_with(broker) as session:
        becomes_ready(session)
        broker.publish("$iothub/twin/PATCH/properties/desired/?$version=7", '{"interval":5,"$version":7}')
        broker.publish("$iothub/methods/POST/reboot/?$rid=1", '{"delay":5}')
        assert next_event(session) == DesiredChanged(7, {"interval": 5})
        called = next_event(session)
        assert called == MethodCalled(MethodCall("reboot", "1"), {"delay": 5})
        assert isinstance(called, MethodCalled)
        session.answer(called.call, 200, {"done": True})
        published(tmp_path / "heard", r'^1 \$iothub/methods/res/200/\?\$rid=1 {"done":true}$', session)


def test_a_message_stays_until_it_is_acknowledged(broker: Broker) -> None:
    kept = LOGIN._replace(clean_session=False)
    with session_with(broker, kept) as session:
        assert becomes_ready(session) == Ready(False)
        for body in ("first", "second"):
            broker.publish(f"{TO_DEVICE}%24.mid={body}", body)
        first, second = next_event(session), next_event(session)
        assert isinstance(first, CloudMessageArrived) and isinstance(second, CloudMessageArrived)
        assert (first.properties, first.body, second.body) == ({"$.mid": "first"}, b"first", b"second")
        session.acknowledge(first)
    with session_with(broker, kept) as session:
        begun = [next_event(session), next_event(session)]  # what was kept may come before the subscription's answer
        (again,) = (event for event in begun if isinstance(event, CloudMessageArrived))
        assert Ready(True) in begun and again.body == b"second"
        session.acknowledge(again)
        assert session.next_event(0.3) is None


def test_what_is_sent_while_the_broker_is_away_arrives_when_it_is_back(broker: Broker) -> None:
    with session_with(broker) as session:
        becomes_ready(session)
        broker.stop()
        tickets = [session.send({}, b"a") for _ in range(5)]
        assert session.next_event(0.3) is None
        with broker:
            assert [session.result(ticket, LIMIT) for ticket in tickets] == [Sent(ticket) for ticket in tickets]
            assert session.unfinished == 0


def test_a_will_is_published_only_without_a_goodbye(broker: Broker, tmp_path: Path) -> None:
    broker.listen(tmp_path / "heard")
    login = LOGIN._replace(will=Will("devices/pi-1/messages/events/", b"gone"))
    with session_with(broker, login) as session:
        becomes_ready(session)
    with session_with(broker, login._replace(will=Will("devices/pi-1/messages/events/", b"evicted"))) as evicted:
        becomes_ready(evicted)
        with session_with(broker) as other:
            becomes_ready(other)
            published(tmp_path / "heard", "evicted$", other)
            assert "gone" not in (tmp_path / "heard").read_text()


def test_without_patience_an_eviction_ends_the_session(broker: Broker) -> None:
    with session_with(broker, patience=0) as session:
        becomes_ready(session)
        with session_with(broker) as other:
            becomes_ready(other)
            problem = problem_of("connection-lost", lambda: session.next_event(LIMIT))
            assert problem.sentence == "the broker closed the connection"


def test_a_ping_keeps_a_quiet_session(broker: Broker) -> None:
    end = time.monotonic() + 2 * LIMIT
    with session_with(broker, LOGIN._replace(keep_alive=2)) as session:
        becomes_ready(session)
        while broker.log.read_text().count("Sending PINGRESP to pi-1") < 2:
            assert time.monotonic() < end
            session.wait(0.5)


def test_another_descriptor_can_be_waited_for(broker: Broker, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text("line\n")
    with session_with(broker) as session, path.open() as lines:
        becomes_ready(session)
        end = time.monotonic() + LIMIT
        while not (readable := session.wait(1, [lines.fileno()])):
            assert time.monotonic() < end
        assert readable == [lines.fileno()]


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    opener = SocketOpener(str(tmp_path / "nowhere"), LOGIN)
    with Session(opener, "pi-1", Wish.NOTHING, "the door", patience=0) as session:
        problem = problem_of("connection-failed", lambda: session.next_event(LIMIT))
    assert problem.sentence.endswith("/nowhere: No such file or directory")
