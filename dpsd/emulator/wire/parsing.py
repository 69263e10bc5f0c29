"""Parses the MQTT 3.1.1 packets of a client. Pure.

Source: the OASIS standard MQTT 3.1.1; numbers in parentheses are its sections. A server closes the connection of a
client that breaks a rule (4.8), so each broken rule raises ProtocolError. No message repeats what the client sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dpsd.emulator.wire.packets import (
    PROTOCOL_LEVEL,
    ClientPacket,
    Connect,
    Disconnect,
    PingReq,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
)
from dpsd.errors import ProtocolError
from dpsd.protocol.hub import MESSAGE_LIMIT
from dpsd.secret import Secret

PACKET_LIMIT = MESSAGE_LIMIT + 64 * 1024 + 4
"""Bytes after the fixed header: the largest hub message, the longest topic and a packet id."""
LENGTH_BYTES = 4
"""The most that a remaining length takes (2.2.3)."""

_DUP, _RETAIN = 0x08, 0x01
"""Flags of PUBLISH (3.3.1); its QoS stands between them."""
_USERNAME, _PASSWORD, _WILL_RETAIN, _WILL, _CLEAN_SESSION, _RESERVED = 0x80, 0x40, 0x20, 0x04, 0x02, 0x01
"""Flags of CONNECT (3.1.2.3); the QoS of the Will stands in bits 3 and 4."""


class Framing:
    """Cuts a byte stream into packets: `feed` bytes, then iterate over `packets`, which raises ProtocolError."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream."""
        self._buffer += data

    def packets(self) -> Iterator[ClientPacket]:
        """Yield the packets that are here whole."""
        while (frame := self._take_frame()) is not None:
            yield parse_packet(*frame)

    def _take_frame(self) -> tuple[int, bytes] | None:
        """Remove and return a packet's first byte and body; None when they are not all here."""
        header = _parse_length(self._buffer[1 : 1 + LENGTH_BYTES])
        if header is None:
            return None
        begin = 1 + header[0]
        end = begin + header[1]
        if len(self._buffer) < end:
            return None
        first, body = self._buffer[0], bytes(self._buffer[begin:end])
        del self._buffer[:end]
        return first, body


def _parse_length(data: bytearray) -> tuple[int, int] | None:
    """Return how many bytes the remaining length takes and its value; None when they are not all here."""
    length = 0
    for index, byte in enumerate(data):
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            _check_length(length, index, byte)
            return index + 1, length
    if len(data) == LENGTH_BYTES:
        raise ProtocolError("a remaining length of more than four bytes")
    return None


def _check_length(length: int, index: int, last: int) -> None:
    if index and not last:
        raise ProtocolError("a remaining length with more bytes than it needs")
    if length > PACKET_LIMIT:
        raise ProtocolError(f"a packet of {length} bytes, {PACKET_LIMIT} are taken")


def parse_packet(first: int, body: bytes) -> ClientPacket:
    """Parse one packet of a client; raises ProtocolError.

    first: the fixed header's first byte. body: what follows the remaining length.
    """
    kind, flags = first >> 4, first & 0x0F
    if kind not in _PARSERS:
        raise ProtocolError(f"a packet of type {kind}, which a client does not send here")
    wanted, parse = _PARSERS[kind]
    if wanted is not None and flags != wanted:
        raise ProtocolError(f"flags {flags:#x} on a packet of type {kind}")
    fields = _Fields(body)
    packet = parse(fields, flags)
    if fields.read_rest():
        raise ProtocolError(f"a packet of type {kind} with bytes after its end")
    return packet


class _Fields:
    """The fields of a packet's body, read one after the other; raises ProtocolError where the body ends too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def has_more(self) -> bool:
        return self._at < len(self._body)

    def read_rest(self) -> bytes:
        """Read all that is left, perhaps nothing."""
        return self.read(len(self._body) - self._at)

    def read(self, size: int) -> bytes:
        begin, self._at = self._at, self._at + size
        if self._at > len(self._body):
            raise ProtocolError("a packet that ends inside a field")
        return self._body[begin : self._at]

    def read_integer(self, size: int) -> int:
        return int.from_bytes(self.read(size), "big")

    def read_data(self) -> bytes:
        """Read bytes with their length in front."""
        return self.read(self.read_integer(2))

    def read_text(self) -> str:
        """Read a string (1.5.3): UTF-8 without surrogates and U+0000; a U+FEFF stays."""
        try:
            text = self.read_data().decode()
        except UnicodeDecodeError:
            raise ProtocolError("text that is not UTF-8") from None
        if "\0" in text:
            raise ProtocolError("text with U+0000")
        return text

    def read_topic(self) -> str:
        topic = self.read_text()
        if not topic or "#" in topic or "+" in topic:
            raise ProtocolError("a topic name that is empty or has a wildcard")
        return topic

    def read_filter(self) -> str:
        name = self.read_text()
        levels = name.split("/")
        odd = any(len(level) > 1 and ("#" in level or "+" in level) for level in levels)
        if not name or odd or "#" in levels[:-1]:
            raise ProtocolError("a topic filter that is empty or has a wildcard out of place")
        return name

    def read_packet_id(self) -> int:
        packet_id = self.read_integer(2)
        if packet_id == 0:
            raise ProtocolError("a packet id of 0")
        return packet_id


def _parse_connect(fields: _Fields, _: int) -> Connect:
    if fields.read_text() != "MQTT":
        raise ProtocolError("not a CONNECT of MQTT 3.1.1")
    level = fields.read_integer(1)
    if level != PROTOCOL_LEVEL:
        # The answer to another version is a CONNACK (3.1.2.2), and what follows has that version's form.
        fields.read_rest()
        return Connect("", "", Secret(b""), True, 0, level, None)
    flags = fields.read_integer(1)
    _check_connect_flags(flags)
    keep_alive = fields.read_integer(2)
    return Connect(
        client_id=fields.read_text(),
        will=Will(fields.read_topic(), fields.read_data()) if flags & _WILL else None,
        username=fields.read_text() if flags & _USERNAME else "",
        password=Secret(fields.read_data() if flags & _PASSWORD else b""),
        clean_session=bool(flags & _CLEAN_SESSION),
        keep_alive=keep_alive,
        protocol_level=level,
    )


def _check_connect_flags(flags: int) -> None:
    will_qos = flags >> 3 & 3
    if flags & _RESERVED or will_qos == 3:
        raise ProtocolError("a CONNECT with flags that do not exist")
    if not flags & _WILL and (will_qos or flags & _WILL_RETAIN):
        raise ProtocolError("a CONNECT with flags of a Will and no Will")
    if flags & _PASSWORD and not flags & _USERNAME:
        raise ProtocolError("a CONNECT with a password and no username")


def _parse_publish(fields: _Fields, flags: int) -> Publish:
    qos = flags >> 1 & 3
    if qos == 3 or (qos == 0 and flags & _DUP):
        raise ProtocolError(f"flags {flags:#x} on a PUBLISH")
    topic = fields.read_topic()
    packet_id = fields.read_packet_id() if qos else None
    return Publish(topic, fields.read_rest(), qos, packet_id, bool(flags & _RETAIN))


def _parse_puback(fields: _Fields, _: int) -> PubAck:
    return PubAck(fields.read_packet_id())


def _parse_subscribe(fields: _Fields, _: int) -> Subscribe:
    packet_id = fields.read_packet_id()
    filters = [(fields.read_filter(), _parse_qos(fields))]
    while fields.has_more():
        filters.append((fields.read_filter(), _parse_qos(fields)))
    return Subscribe(packet_id, tuple(filters))


def _parse_qos(fields: _Fields) -> int:
    qos = fields.read_integer(1)
    if qos > 2:
        raise ProtocolError("a subscription at a QoS that does not exist")
    return qos


def _parse_unsubscribe(fields: _Fields, _: int) -> Unsubscribe:
    packet_id = fields.read_packet_id()
    filters = [fields.read_filter()]
    while fields.has_more():
        filters.append(fields.read_filter())
    return Unsubscribe(packet_id, tuple(filters))


_PARSERS: dict[int, tuple[int | None, Callable[[_Fields, int], ClientPacket]]] = {
    1: (0, _parse_connect),
    3: (None, _parse_publish),
    4: (0, _parse_puback),
    8: (2, _parse_subscribe),
    10: (2, _parse_unsubscribe),
    12: (0, lambda *_: PingReq()),
    14: (0, lambda *_: Disconnect()),
}
"""By packet type (2.2.1): the flags that it must have (2.2.2), or None, and its parser. QoS 2 is not spoken here."""
