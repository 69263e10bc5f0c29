"""MQTT packets of clients, encoded by hand: what the emulator parses, made without its code."""

from __future__ import annotations

from typing import NamedTuple

from dpsd.emulator.wire.packets import (
    ClientPacket,
    Connect,
    Disconnect,
    PingReq,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
)
from tests.emulator.device import packet, string


class Bits(NamedTuple):
    """What a packet's value does not say. connect: the flags of CONNECT. dup: of PUBLISH, 0 or 8."""

    connect: int = 0xC2
    dup: int = 0


def encode(value: ClientPacket, bits: Bits) -> bytes:
    if isinstance(value, Connect):
        return packet(0x10, encode_connect(value, bits.connect))
    if isinstance(value, Publish):
        packet_id = b"" if value.packet_id is None else number(value.packet_id)
        first = 0x30 | bits.dup | value.qos << 1 | value.retain
        return packet(first, string(value.topic) + packet_id + value.body)
    if isinstance(value, Subscribe):
        filters = b"".join(string(name) + bytes([qos]) for name, qos in value.filters)
        return packet(0x82, number(value.packet_id) + filters)
    if isinstance(value, Unsubscribe):
        return packet(0xA2, number(value.packet_id) + b"".join(map(string, value.filters)))
    if isinstance(value, PubAck):
        return packet(0x40, number(value.packet_id))
    return packet({PingReq: 0xC0, Disconnect: 0xE0}[type(value)])


def encode_connect(value: Connect, flags: int) -> bytes:
    body = string("MQTT") + bytes([value.protocol_level, flags]) + number(value.keep_alive) + string(value.client_id)
    if value.will:
        body += string(value.will.topic) + string(value.will.body)
    body += string(value.username) if flags & 0x80 else b""
    return body + (string(value.password.reveal()) if flags & 0x40 else b"")


def number(value: int) -> bytes:
    return value.to_bytes(2, "big")
