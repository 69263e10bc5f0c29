"""The packets of MQTT 3.1.1 that a client sends, as values and as bytes, and those that it gets, as values.

Source: the OASIS standard, chapters 2 and 3. QoS 2 is not spoken: IoT Hub and DPS do not have it.
"""

from __future__ import annotations

from typing import NamedTuple

from dpsd.secret import Secret

AT_MOST_ONCE, AT_LEAST_ONCE = 0, 1
FAILURE = 0x80
"""A SUBACK's code for a filter that was not accepted; codes below it are a QoS."""
PINGREQ, DISCONNECT = b"\xc0\0", b"\xe0\0"
_LEVEL = 4
"""The protocol level that stands for 3.1.1."""


class Will(NamedTuple):
    """The message that the server publishes when the connection ends without DISCONNECT."""

    topic: str
    body: bytes
    qos: int = AT_LEAST_ONCE


class Connect(NamedTuple):
    """What a client logs in with. keep_alive: seconds, 0 for none. password: None where a certificate proves it."""

    client_id: str
    username: str
    password: Secret | None = None
    clean_session: bool = True
    keep_alive: int = 60
    will: Will | None = None


class ConnAck(NamedTuple):
    code: int
    session_present: bool


class SubAck(NamedTuple):
    packet_id: int
    codes: tuple[int, ...]


class UnsubAck(NamedTuple):
    packet_id: int


class PubAck(NamedTuple):
    """Either direction."""

    packet_id: int


class Publish(NamedTuple):
    """Either direction. packet_id: None at QoS 0. duplicate: it may have been sent before."""

    topic: str
    body: bytes
    packet_id: int | None = None
    duplicate: bool = False
    retain: bool = False


class PingResp(NamedTuple):
    pass


ServerPacket = ConnAck | SubAck | UnsubAck | PubAck | Publish | PingResp


def encode_connect(connect: Connect) -> bytes:
    """Encode CONNECT (3.1); raises UnicodeEncodeError for text that is not Unicode, as all of these do."""
    will, password = connect.will, connect.password
    flags = 0x80 | 0x02 * connect.clean_session | (0x40 if password is not None else 0)
    if will is not None:
        flags |= 0x04 | will.qos << 3
    head = _text("MQTT") + bytes([_LEVEL, flags]) + connect.keep_alive.to_bytes(2, "big")
    last = b"" if will is None else _text(will.topic) + _string(will.body)
    login = _text(connect.username) + (b"" if password is None else _string(password.reveal()))
    return _packet(0x10, head + _text(connect.client_id) + last + login)


def encode_publish(publish: Publish) -> bytes:
    """Encode PUBLISH (3.3), at QoS 1 where it has a packet id."""
    qos, number = (0, b"") if publish.packet_id is None else (1, _number(publish.packet_id))
    first = 0x30 | publish.duplicate << 3 | qos << 1 | publish.retain
    return _packet(first, _text(publish.topic) + number + publish.body)


def encode_puback(packet_id: int) -> bytes:
    return _packet(0x40, _number(packet_id))


def encode_subscribe(packet_id: int, topic_filter: str, qos: int = AT_LEAST_ONCE) -> bytes:
    """Encode SUBSCRIBE (3.8) of one filter."""
    return _packet(0x82, _number(packet_id) + _text(topic_filter) + bytes([qos]))


def encode_unsubscribe(packet_id: int, topic_filter: str) -> bytes:
    """Encode UNSUBSCRIBE (3.10) of one filter."""
    return _packet(0xA2, _number(packet_id) + _text(topic_filter))


def _packet(first: int, body: bytes) -> bytes:
    """Return a packet with its remaining length: seven bits a byte, the low ones first (2.2.3)."""
    length, left = bytearray(), len(body)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([first, *length, left]) + body


def _number(packet_id: int) -> bytes:
    return packet_id.to_bytes(2, "big")


def _text(text: str) -> bytes:
    return _string(text.encode())


def _string(data: bytes) -> bytes:
    """Return bytes with their length before them; raises OverflowError for more than 65,535."""
    return len(data).to_bytes(2, "big") + data
