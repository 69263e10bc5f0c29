"""Encodes the MQTT 3.1.1 packets of a server. Pure.

Source: the OASIS standard MQTT 3.1.1; numbers in parentheses are its sections.
"""

from __future__ import annotations

from dpsd.emulator.wire.packets import ConnAck, PingResp, PubAck, Publish, ServerPacket, SubAck, UnsubAck
from dpsd.errors import ProtocolError

STRING_LIMIT = (1 << 16) - 1
"""Bytes of a string: its length takes two bytes (1.5.3)."""


def encode_packet(packet: ServerPacket) -> bytes:
    """Return the packet's bytes; raises ProtocolError for a topic that is too long."""
    if isinstance(packet, Publish):
        return _encode_publish(packet)
    if isinstance(packet, PubAck):
        return _frame(0x40, _encode_id(packet.packet_id))
    if isinstance(packet, SubAck):
        return _frame(0x90, _encode_id(packet.packet_id) + bytes(packet.codes))
    if isinstance(packet, UnsubAck):
        return _frame(0xB0, _encode_id(packet.packet_id))
    if isinstance(packet, ConnAck):
        return _frame(0x20, bytes([packet.session_present, packet.code]))
    assert isinstance(packet, PingResp)
    return _frame(0xD0, b"")


def _encode_publish(packet: Publish) -> bytes:
    topic = packet.topic.encode()
    if len(topic) > STRING_LIMIT:
        raise ProtocolError(f"a topic of {len(topic)} bytes, {STRING_LIMIT} are possible")
    packet_id = b"" if packet.packet_id is None else _encode_id(packet.packet_id)
    head = len(topic).to_bytes(2, "big") + topic + packet_id
    return _frame(0x30 | packet.qos << 1 | packet.retain, head + packet.body)


def _encode_id(packet_id: int) -> bytes:
    return packet_id.to_bytes(2, "big")


def _frame(first: int, body: bytes) -> bytes:
    """Put the fixed header before a body: the first byte, and the length with its low bits first (2.2)."""
    header, rest = bytearray([first]), len(body)
    while rest > 0x7F:
        header.append(0x80 | rest & 0x7F)
        rest >>= 7
    header.append(rest)
    return bytes(header) + body
