"""The client's side of WebSocket, as bytes and values.

Source: RFC 6455, sections 4.1 and 4.2.2 (opening handshake) and 5 (frames). Frames need not coincide with MQTT packets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dpsd.errors import ProtocolError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEAD_LIMIT = 16 * 1024
"""Bytes of a reply to the opening handshake."""
_CONTROL_LIMIT = 125


class UpgradeReply(NamedTuple):
    """A server's reply to the opening handshake, with header names in lower case."""

    status: int
    headers: dict[str, str]


class Piece(NamedTuple):
    """A part of the data, with the opcode BINARY, or a whole control frame."""

    opcode: int
    payload: bytes


def encode_upgrade(host: str, path: str, key: str) -> bytes:
    """Return the opening handshake. host: as in a URL, with a port other than 443. key: base64 of 16 random bytes."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: mqtt",
    )
    return "\r\n".join((*lines, "", "")).encode()


def parse_upgrade_reply(head: bytes) -> UpgradeReply:
    """Parse a reply without its empty line; raises ProtocolError."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal() or not rest[:3].isascii():
        raise ProtocolError("no HTTP")
    pairs = (line.partition(":") for line in lines)
    return UpgradeReply(int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs})


def encode_frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """Return a whole frame, masked as RFC 6455 demands of a client. mask: 4 random bytes."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + mask + _mask_payload(payload, mask)


def _mask_payload(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class FrameReader:
    """Takes a server's frames apart."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._fragmented = False

    def receive(self, data: bytes) -> Iterator[Piece]:
        """Yield what has arrived with these bytes; raises ProtocolError, after which the reader is of no use."""
        # Data is passed on as it comes, so that the length of a frame, which the server chooses, costs no memory.
        self._buffer += data
        while (piece := self._data() if self._left else self._frame()) is not None:
            if piece.payload or piece.opcode != BINARY:
                yield piece

    def _data(self) -> Piece | None:
        """Take what has arrived of a data frame's payload."""
        chunk = self._take(min(self._left, len(self._buffer)))
        self._left -= len(chunk)
        return Piece(BINARY, chunk) if chunk else None

    def _frame(self) -> Piece | None:
        """Take the header of a data frame, as a piece without data, or a whole control frame."""
        if len(self._buffer) < 2 or len(self._buffer) < (header := 2 + _count_length_bytes(self._buffer[1])):
            return None
        size = int.from_bytes(self._buffer[2:header], "big") if header > 2 else self._buffer[1]
        opcode = self._read_opcode(size)
        if opcode < CLOSE:
            self._take(header)
            self._left = size
            return Piece(BINARY, b"")
        if len(self._buffer) < header + size:
            return None
        self._take(header)
        return Piece(opcode, self._take(size))

    def _read_opcode(self, size: int) -> int:
        first, second = self._buffer[:2]
        final, opcode = bool(first & 0x80), first & 0x0F
        if first & 0x70 or second & 0x80:
            raise ProtocolError("a frame with reserved bits, or masked by the server")
        if opcode in (CLOSE, PING, PONG):
            if not final or size > _CONTROL_LIMIT:
                raise ProtocolError("a control frame in pieces or too long")
        elif opcode == (CONTINUATION if self._fragmented else BINARY):
            self._fragmented = not final
        else:
            raise ProtocolError(f"a frame with opcode {opcode}, where MQTT needs binary ones")
        return opcode

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def _count_length_bytes(second: int) -> int:
    """Return how many bytes of an extended length follow the header's second byte."""
    return {126: 2, 127: 8}.get(second & 0x7F, 0)
