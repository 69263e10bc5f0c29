"""Targets for the emulator's own readers: MQTT, topics and certificates of clients, enrollments and faults."""

from __future__ import annotations

from cryptography import x509

from dpsd.emulator.dps.enrollments import merge, parse_enrollments
from dpsd.emulator.files import certificates
from dpsd.emulator.wire.faults import parse_faults
from dpsd.emulator.wire.packets import Framing
from dpsd.errors import ProtocolError
from dpsd.protocol import dps
from dpsd.protocol import hub as hub_topics
from dpsd.shape import ShapeError, Table, parse_object
from tests.fuzz.credentials import NOW
from tests.fuzz.endings import refusing


def client_bytes(data: bytes) -> None:
    with refusing(ProtocolError):
        framing = Framing()
        framing.feed(data)
        for packet in framing.packets():
            assert "Packet" not in repr(packet)


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
    certificates.common_name(presented)
    certificates.thumbprints(presented)
    certificates.is_self_issued(presented)
    certificates.climb([presented, presented], lambda one: certificates.is_issued_by(one, presented), NOW)


TARGETS = {
    "emulator-packets": client_bytes,
    "emulator-topics": client_topic,
    "emulator-certificate": device_certificate,
    "emulator-enrollments": enrollments,
    "emulator-faults": faults,
}
