"""Targets for the emulator's own readers: MQTT, topics and certificates of clients, enrollments and faults."""

from __future__ import annotations

import itertools

from cryptography import x509

from dpsd.emulator.dps.enrollments import merge, parse_enrollments
from dpsd.emulator.files import certificates
from dpsd.emulator.wire.encoding import encode_packet
from dpsd.emulator.wire.faults import parse_faults
from dpsd.emulator.wire.packets import PROTOCOL_LEVEL, ClientPacket, Connect, Publish
from dpsd.emulator.wire.parsing import Framing
from dpsd.errors import ProtocolError
from dpsd.protocol import dps
from dpsd.protocol import hub as hub_topics
from dpsd.shape import ShapeError, Table, parse_object
from tests.emulator.client_packets import Bits, encode
from tests.fuzz.credentials import NOW
from tests.fuzz.endings import refusing


def client_bytes(data: bytes) -> None:
    """What a client sends. Whatever is taken as a packet has one form only: encoded by hand, it is what came."""
    framing, begin = Framing(), 0
    framing.feed(data)
    with refusing(ProtocolError):
        for packet in framing.packets():
            end = end_of_packet(data, begin)
            check_form(packet, data[begin:end])
            begin = end


def end_of_packet(data: bytes, begin: int) -> int:
    length = shift = 0
    for at in itertools.count(begin + 1):
        length |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            break
    return at + 1 + length


def check_form(packet: ClientPacket, data: bytes) -> None:
    if isinstance(packet, Connect):
        assert repr(packet.password) == "<secret>"
        if packet.protocol_level != PROTOCOL_LEVEL:
            return  # The rest of it has another form.
        assert data == encode(packet, Bits(connect=data[data.index(b"MQTT") + 5]))
    elif isinstance(packet, Publish):
        assert data == encode(packet, Bits(dup=data[0] & 8))
        assert encode_packet(packet) == encode(packet, Bits())
    else:
        assert data == encode(packet, Bits())


def client_topic(data: bytes) -> None:
    """A topic that a client publishes to, at DPS or at a hub."""
    topic = data.decode("utf-8", "replace")
    for parse in (hub_topics.parse_request_topic, dps.parse_request_topic):
        with refusing(ProtocolError):
            parse(topic)


def enrollments(data: bytes) -> None:
    with refusing(ShapeError):
        parse_enrollments(Table(merge({}, parse_object(data))))


def faults(data: bytes) -> None:
    with refusing(ShapeError):
        parse_faults(parse_object(data).list("faults"))


def device_certificate(data: bytes) -> None:
    """DER of a certificate that a client presents."""
    try:
        presented = x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        return
    certificates.read_common_name(presented)
    certificates.get_thumbprints(presented)
    certificates.is_self_issued(presented)
    certificates.follow_chain([presented, presented], lambda one: certificates.is_issued_by(one, presented), NOW)


TARGETS = {
    "emulator-packets": client_bytes,
    "emulator-topics": client_topic,
    "emulator-certificate": device_certificate,
    "emulator-enrollments": enrollments,
    "emulator-faults": faults,
}
