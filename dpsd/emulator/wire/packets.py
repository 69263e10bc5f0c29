"""MQTT 3.1.1 packets: bytes from a client become values, values become bytes. No I/O.

amqtt is the codec, one complete packet at a time. It takes much that the standard forbids, so this module cuts the
stream into packets with a cap on their size, compares each decoded packet's own encoding with what arrived (a packet
has exactly one encoding, so text that is not UTF-8, trailing bytes and fields that contradict the flags show), and
checks flags and topics. amqtt's packets print the password: none leaves this module.

Every fault of the peer raises ProtocolError; the standard then asks for the connection to be closed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple

from amqtt.adapters import BufferReader
from amqtt.mqtt import packet as codec
from amqtt.mqtt import packet_class
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsuback import UnsubackPacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket

from dpsd.errors import ProtocolError
from dpsd.protocol.hub import MESSAGE_LIMIT
from dpsd.secret import Secret

PACKET_LIMIT = MESSAGE_LIMIT + 64 * 1024 + 4
"""Bytes after the fixed header: the largest hub message, the longest topic and a packet id."""
PROTOCOL_LEVEL = 4
"""MQTT 3.1.1."""

_LENGTH_BYTES = 4


class Will(NamedTuple):
    """What a hub publishes when the connection ends without DISCONNECT."""

    topic: str
    body: bytes


class Connect(NamedTuple):
    """keep_alive: seconds, 0 for none. protocol_level: 4 is MQTT 3.1.1."""

    client_id: str
    username: str
    password: Secret
    clean_session: bool
    keep_alive: int
    protocol_level: int
    will: Will | None


class Subscribe(NamedTuple):
    packet_id: int
    filters: tuple[tuple[str, int], ...]


class Unsubscribe(NamedTuple):
    packet_id: int
    filters: tuple[str, ...]


class Publish(NamedTuple):
    """Either direction; packet_id is None at QoS 0."""

    topic: str
    body: bytes
    qos: int = 0
    packet_id: int | None = None
    retain: bool = False


class PubAck(NamedTuple):
    """Either direction."""

    packet_id: int


class PingReq(NamedTuple):
    pass


class Disconnect(NamedTuple):
    pass


class ConnAck(NamedTuple):
    code: int
    session_present: bool = False


class SubAck(NamedTuple):
    packet_id: int
    codes: tuple[int, ...]


class UnsubAck(NamedTuple):
    packet_id: int


class PingResp(NamedTuple):
    pass


ClientPacket = Connect | Subscribe | Unsubscribe | Publish | PubAck | PingReq | Disconnect
ServerPacket = ConnAck | SubAck | UnsubAck | Publish | PubAck | PingResp


class Framing:
    """Cuts a byte stream into packets: `feed` bytes, then iterate over `packets`, which raises ProtocolError."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def packets(self) -> Iterator[ClientPacket]:
        while (frame := self._cut()) is not None:
            yield parse_packet(*frame)

    def _cut(self) -> tuple[int, bytes] | None:
        header = _parse_length(bytes(self._buffer[1 : 1 + _LENGTH_BYTES]))
        if header is None or len(self._buffer) < 1 + sum(header):
            return None
        size, length = header
        first, body = self._buffer[0], bytes(self._buffer[1 + size : 1 + size + length])
        del self._buffer[: 1 + size + length]
        return first, body


def _parse_length(data: bytes) -> tuple[int, int] | None:
    """Return how many bytes the remaining length takes and its value; None when they are not all here."""
    length = 0
    for index, byte in enumerate(data):
        length |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return _checked_length(index + 1, length)
    if len(data) == _LENGTH_BYTES:
        raise ProtocolError("a remaining length of more than four bytes")
    return None


def _checked_length(size: int, length: int) -> tuple[int, int]:
    if length > PACKET_LIMIT:
        raise ProtocolError(f"a packet of {length} bytes, {PACKET_LIMIT} are taken")
    return size, length


def parse_packet(first: int, body: bytes) -> ClientPacket:
    """Parse one packet of a client: the fixed header's first byte and what follows the remaining length."""
    kind, flags = first >> 4, first & 0x0F
    if kind not in _PARSERS:
        raise ProtocolError(f"a packet of type {kind}, which a client does not send here")
    required, parse = _PARSERS[kind]
    if required is not None and flags != required:
        raise ProtocolError(f"flags {flags:#x} on a packet of type {kind}")
    return parse(_decoded(kind, flags, body), flags)


def _decoded(kind: int, flags: int, body: bytes) -> Any:
    header = MQTTFixedHeader(kind, flags, len(body))
    try:
        packet = _finished(packet_class(header).from_stream(BufferReader(body), fixed_header=header))
        if isinstance(packet, ConnectPacket) and packet.client_id_is_random:
            packet.client_id = ""
        encoded = packet.to_bytes()
    except Exception as error:
        # amqtt has no root of its own for what it raises on bad bytes; struct, index and value errors occur too.
        raise ProtocolError(f"a packet of type {kind} that cannot be read ({type(error).__name__})") from None
    if encoded[len(encoded) - len(body) :] != body or len(encoded) != len(header.to_bytes()) + len(body):
        raise ProtocolError(f"a packet of type {kind} with bytes out of place")
    return packet


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that reads from memory, so never waits, to its end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise ProtocolError("the codec waits for more than it was given")


def _connect(packet: ConnectPacket, _: int) -> Connect:
    header, payload = packet.variable_header, packet.payload
    assert header is not None
    assert payload is not None
    if header.proto_name != "MQTT" or header.reserved_flag or not _flags_agree(header):
        raise ProtocolError("not an MQTT 3.1.1 CONNECT")
    will = Will(_topic(payload.will_topic or ""), bytes(payload.will_message or b"")) if header.will_flag else None
    return Connect(
        client_id=_text(payload.client_id or ""),
        username=_text(payload.username or ""),
        password=Secret((payload.password or "").encode()),
        clean_session=header.clean_session_flag,
        keep_alive=header.keep_alive,
        protocol_level=header.proto_level,
        will=will,
    )


def _flags_agree(header: Any) -> bool:
    will = header.will_flag or not (header.will_qos or header.will_retain_flag)
    return bool(header.will_qos < 3 and will and (header.username_flag or not header.password_flag))


def _subscribe(packet: SubscribePacket, _: int) -> Subscribe:
    filters = tuple((_filter(name), qos) for name, qos in packet.payload.topics)
    if any(qos > 2 for _, qos in filters):
        raise ProtocolError("a subscription at a QoS that does not exist")
    return Subscribe(_packet_id(packet), _some(filters))


def _unsubscribe(packet: UnsubscribePacket, _: int) -> Unsubscribe:
    return Unsubscribe(_packet_id(packet), _some(tuple(map(_filter, packet.payload.topics))))


def _publish(packet: PublishPacket, flags: int) -> Publish:
    qos = (flags >> 1) & 3
    if qos == 3 or (qos == 0 and flags & 8):
        raise ProtocolError(f"flags {flags:#x} on a PUBLISH")
    packet_id = _packet_id(packet) if qos else None
    return Publish(_topic(packet.topic_name or ""), packet.data or b"", qos, packet_id, bool(flags & 1))


def _packet_id(packet: Any) -> int:
    packet_id: int = packet.variable_header.packet_id
    if packet_id == 0:
        raise ProtocolError("a packet id of 0")
    return packet_id


def _some(filters: tuple[Any, ...]) -> tuple[Any, ...]:
    if not filters:
        raise ProtocolError("a subscription to nothing")
    return filters


def _text(text: str) -> str:
    if "\0" in text:
        raise ProtocolError("text with U+0000")
    return text


def _topic(topic: str) -> str:
    if not topic or "#" in topic or "+" in topic:
        raise ProtocolError("a topic name that is empty or has a wildcard")
    return _text(topic)


def _filter(name: str) -> str:
    levels = name.split("/")
    odd = any(len(level) > 1 and ("#" in level or "+" in level) for level in levels)
    if not name or odd or "#" in levels[:-1]:
        raise ProtocolError("a topic filter that is empty or has a wildcard out of place")
    return _text(name)


def _puback(packet: PubackPacket, _: int) -> PubAck:
    return PubAck(_packet_id(packet))


_PARSERS: dict[int, tuple[int | None, Callable[[Any, int], ClientPacket]]] = {
    codec.CONNECT: (0, _connect),
    codec.PUBLISH: (None, _publish),
    codec.PUBACK: (0, _puback),
    codec.SUBSCRIBE: (2, _subscribe),
    codec.UNSUBSCRIBE: (2, _unsubscribe),
    codec.PINGREQ: (0, lambda *_: PingReq()),
    codec.DISCONNECT: (0, lambda *_: Disconnect()),
}
"""The flags that the standard asks for, and what makes a value of the decoded packet. QoS 2 is not spoken here."""


def encode_packet(packet: ServerPacket) -> bytes:
    encoded: bytes = _ENCODERS[type(packet)](packet).to_bytes()
    return encoded


def _built_publish(packet: Publish) -> PublishPacket:
    return PublishPacket.build(packet.topic, packet.body, packet.packet_id, False, packet.qos, packet.retain)


_ENCODERS: dict[type[Any], Callable[[Any], Any]] = {
    ConnAck: lambda packet: ConnackPacket.build(int(packet.session_present), packet.code),
    SubAck: lambda packet: SubackPacket.build(packet.packet_id, list(packet.codes)),
    UnsubAck: lambda packet: UnsubackPacket.build(packet.packet_id),
    PubAck: lambda packet: PubackPacket.build(packet.packet_id),
    PingResp: lambda _: PingRespPacket(),
    Publish: _built_publish,
}
