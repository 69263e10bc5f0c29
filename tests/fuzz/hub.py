"""Targets for what an IoT Hub says to a device, and what devices say to it: topics and bodies."""

from __future__ import annotations

from dpsd.errors import ProtocolError
from dpsd.protocol import hub
from dpsd.protocol.hub import limits, twin
from dpsd.protocol.hub.methods import encode_payload, parse_payload
from tests.fuzz.endings import check_line, problems, refusing


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


TARGETS = {
    "hub-request": request_topic,
    "hub-delivery": delivery_topic,
    "hub-bag": bag,
    "hub-twin": whole_twin,
    "hub-section": section,
    "hub-payload": payload,
}
