"""A server's bytes, taken apart into packets of MQTT 3.1.1.

Source: the OASIS standard, chapters 2 and 3. Whatever it forbids, and QoS 2, which nobody here asks for, raises
ProtocolError; the connection has to end then.
"""

from __future__ import annotations

from collections.abc import Iterator

from dpsd.errors import ProtocolError
from dpsd.protocol.mqtt.packets import ConnAck, PingResp, PubAck, Publish, ServerPacket, SubAck, UnsubAck

PACKET_LIMIT = 512 * 1024
"""Bytes of a packet after its length; a hub's largest message has 256 KB, and a topic at most 64."""
_LENGTH_BYTES = 4


class Unframer:
    """Cuts a stream of bytes into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> Iterator[ServerPacket]:
        """Yield what is complete with these bytes; raises ProtocolError, after which there is nothing more."""
        self._buffer += data
        while (frame := self._cut()) is not None:
            yield parse_packet(*frame)

    def _cut(self) -> tuple[int, bytes] | None:
        found = _parse_length(bytes(self._buffer[1 : 1 + _LENGTH_BYTES]))
        if found is None or len(self._buffer) < 1 + sum(found):
            return None
        size, length = found
        first, body = self._buffer[0], bytes(self._buffer[1 + size : 1 + size + length])
        del self._buffer[: 1 + size + length]
        return first, body


def _parse_length(data: bytes) -> tuple[int, int] | None:
    """Return how many bytes the remaining length has and what it says, None where it is not all there (2.2.3)."""
    length = 0
    for index, byte in enumerate(data):
        length |= (byte & 0x7F) << 7 * index
        if length > PACKET_LIMIT:
            raise ProtocolError(f"a packet of more than {PACKET_LIMIT} bytes")
        if not byte & 0x80:
            return index + 1, length
    if len(data) == _LENGTH_BYTES:
        raise ProtocolError("a length of more than four bytes")
    return None


def parse_packet(first: int, body: bytes) -> ServerPacket:
    """Parse a packet by its first byte and what follows its length; raises ProtocolError."""
    if first >> 4 == 3:
        return _parse_publish(first & 0x0F, body)
    if first == 0x20 and len(body) == 2 and body[0] <= 1:
        return ConnAck(body[1], bool(body[0]))
    if first == 0x40 and len(body) == 2:
        return PubAck(_packet_id(body))
    if first == 0x90 and len(body) >= 3:
        return SubAck(_packet_id(body), tuple(body[2:]))
    if first == 0xB0 and len(body) == 2:
        return UnsubAck(_packet_id(body))
    if first == 0xD0 and not body:
        return PingResp()
    raise ProtocolError(f"bytes that are not MQTT 3.1.1 (a packet {first:#04x} with {len(body)} bytes)")


def _parse_publish(flags: int, body: bytes) -> Publish:
    duplicate, qos, retain = bool(flags & 8), flags >> 1 & 3, bool(flags & 1)
    if qos == 2:
        raise ProtocolError("a message of QoS 2, which it was not asked for")
    topic, rest = _parse_topic(body)
    if qos == 3 or (qos == 0 and duplicate) or (qos == 1 and len(rest) < 2):
        raise ProtocolError(f"a message that MQTT 3.1.1 does not allow (flags {flags:#x})")
    if qos == 0:
        return Publish(topic, rest, None, False, retain)
    return Publish(topic, rest[2:], _packet_id(rest), duplicate, retain)


def _parse_topic(body: bytes) -> tuple[str, bytes]:
    """Return a topic and what stands behind it (1.5.3, 3.3.2.1)."""
    size = int.from_bytes(body[:2], "big")
    if len(body) < 2 + size:
        raise ProtocolError("a message that ends within its topic")
    try:
        topic = body[2 : 2 + size].decode()
    except UnicodeDecodeError:
        raise ProtocolError("a topic that is not UTF-8") from None
    if not topic or set(topic) & set("+#\0"):
        raise ProtocolError("a topic that is empty, or has a wildcard or U+0000")
    return topic, body[2 + size :]


def _packet_id(body: bytes) -> int:
    packet_id = int.from_bytes(body[:2], "big")
    if packet_id == 0:
        raise ProtocolError("a packet id of 0")
    return packet_id
