"""Targets for what an IoT Hub says to a device, and what devices say to it: topics and bodies."""

from __future__ import annotations

from dpsd.errors import Problem, ProtocolError
from dpsd.protocol import hub
from dpsd.protocol.hub import limits, twin
from dpsd.protocol.hub.events import CloudMessageArrived, Failed, MethodCalled, StrangeArrived
from dpsd.protocol.hub.exchange import Exchange, State
from dpsd.protocol.hub.methods import encode_payload, parse_payload
from dpsd.protocol.hub.wishes import Wish
from dpsd.protocol.mqtt.packets import Connect, Publish, encode_publish
from dpsd.protocol.mqtt.parsing import Unframer
from tests.fuzz.endings import check_line, check_shown, problems, refusing

FROM_HUB = ("hub-reply-invalid", "hub-refused", "hub-unavailable", "hub-bad-request")
"""How a connection with a hub may end by what it says."""


def topic_of(data: bytes) -> str:
    """A topic as MQTT carries it: Unicode text."""
    return data.decode("utf-8", "replace")


def request_topic(data: bytes) -> None:
    """What is read can be written, and is read as the same."""
    with refusing(ProtocolError):
        request = hub.parse_request_topic(topic_of(data))
        assert hub.parse_request_topic(request.encode()) == request


def delivery_topic(data: bytes) -> None:
    with refusing(ProtocolError):
        delivery = hub.parse_delivery_topic(topic_of(data))
        assert hub.parse_delivery_topic(delivery.encode()) == delivery


def bag(data: bytes) -> None:
    parsed = hub.parse_bag(topic_of(data))
    assert hub.parse_bag(hub.encode_bag(parsed)) == parsed
    with problems("hub-message-invalid"):
        limits.check_bag(parsed)
        limits.check_topic(hub.encode_bag(parsed))


def whole_twin(data: bytes) -> None:
    try:
        parsed = twin.parse_twin(data)
    except ProtocolError as error:
        check_line(str(error))
        return
    twin.encode_twin(parsed)
    twin.merge(parsed.desired.properties, parsed.reported.properties)


def section(data: bytes) -> None:
    """A notification of desired properties, and what a device reports."""
    try:
        parsed = twin.parse_section(data)
    except ProtocolError as error:
        check_line(str(error))
        return
    twin.encode_section(parsed)
    twin.merge({}, parsed.properties)
    with problems("hub-message-invalid"):
        limits.check_patch(parsed.properties)


def payload(data: bytes) -> None:
    """Of a direct method's call."""
    try:
        encode_payload(parse_payload(data))
    except ProtocolError as error:
        check_line(str(error))


def mqtt_packets(data: bytes) -> None:
    """What a server sends; a message that is read can be written, and is read as the same."""
    with refusing(ProtocolError):
        for packet in Unframer().receive(data):
            if isinstance(packet, Publish):
                assert list(Unframer().receive(encode_publish(packet))) == [packet]


def exchange(data: bytes) -> None:
    """A hub's side of a connection, to a device that wants everything and answers all that it is told."""
    device = Exchange("pi-1", Wish.ALL, "a", "the hub")
    tickets = {device.send({}, b"{}", 0), device.get_twin(0), device.report({"a": 1}, 0)}
    device.connected(Connect("pi-1", "user"), 0)
    problem = None
    try:
        device.received(data, 1)
    except Problem as raised:
        assert raised.code in FROM_HUB, raised
        check_shown(raised)
        problem = raised
    tickets |= set(follow(device))
    assert set(device.unfinished) <= tickets
    assert device.next_tick() is not None
    if problem is not None:
        device.lost(problem, 2, 0.5)
        assert device.state is State.OFFLINE and not device.output


def follow(device: Exchange) -> list[int]:
    """Do what is due upon each event; return the tickets of that."""
    tickets = []
    for event in list(device.events):
        if isinstance(event, CloudMessageArrived) and event.receipt is not None:
            device.acknowledge(event.receipt, 1)
        elif isinstance(event, MethodCalled):
            with problems("hub-message-invalid"):
                tickets.append(device.answer(event.call, 200, event.payload, 1))
        elif isinstance(event, Failed):
            check_shown(event.problem)
        elif isinstance(event, StrangeArrived):
            check_line(event.said)
    return tickets


TARGETS = {
    "hub-mqtt": mqtt_packets,
    "hub-exchange": exchange,
    "hub-request": request_topic,
    "hub-delivery": delivery_topic,
    "hub-bag": bag,
    "hub-twin": whole_twin,
    "hub-section": section,
    "hub-payload": payload,
}
