"""A WebSocket that paho uses like a socket; `protocol.websocket` has the format.

paho has a WebSocket of its own, which is not used here: it answers a ping with an unmasked frame, upon which a server
must end the connection (RFC 6455, section 5.1), it hides the status of a refused upgrade, and 1.6 and 2.x differ.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import ssl
import time

from dpsd.errors import Problem, ProtocolError
from dpsd.network.diagnosis import make_connection_problem
from dpsd.network.tls import TlsSocket, make_tls_problem, read_issuer
from dpsd.protocol.identifiers import Endpoint
from dpsd.protocol.transports import WEBSOCKET_PORT
from dpsd.protocol.websocket import (
    BINARY,
    CLOSE,
    GUID,
    HEAD_LIMIT,
    PING,
    PONG,
    FrameReader,
    UpgradeReply,
    encode_frame,
    encode_upgrade,
    parse_upgrade_reply,
)
from dpsd.text import printable

SEND_LIMIT = 5
"""Seconds to wait for a peer that does not read a frame."""
_CHUNK = 16 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_NORMAL_CLOSURE = (1000).to_bytes(2, "big")


class WebSocket:
    """A stream of bytes, sent in frames, with the methods of a non-blocking TLS socket that paho uses."""

    def __init__(self, connection: TlsSocket, received: bytes) -> None:
        """received: the bytes after the reply to the upgrade. Raises ProtocolError."""
        self._connection = connection
        self._reader = FrameReader()
        self._data = bytearray()
        self._closed = False
        self._take(received)

    @property
    def failure(self) -> ssl.SSLError | None:
        return self._connection.failure

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end; raises ssl.SSLWantReadError, OSError, ProtocolError."""
        while not self._data and not self._closed:
            received = self._connection.recv(_CHUNK)
            self._closed = self._closed or not received
            self._take(received)
        chunk = bytes(self._data[:size])
        del self._data[:size]
        return chunk

    def send(self, data: bytes) -> int:
        """Send all of `data` as one frame; raises OSError."""
        self._write(BINARY, bytes(data))
        return len(data)

    def pending(self) -> int:
        """Return how many bytes can be read that select does not see; 1 for the end after a close frame."""
        return len(self._data) or self._connection.pending() or int(self._closed)

    def fileno(self) -> int:
        return self._connection.fileno()

    def setblocking(self, blocking: bool) -> None:
        self._connection.setblocking(blocking)

    def close(self) -> None:
        """Send a close frame if the connection still takes it, and close the connection."""
        try:
            if not self._closed:
                self._connection.setblocking(False)
                self._connection.send(encode_frame(CLOSE, _NORMAL_CLOSURE, os.urandom(4)))
        except OSError:
            pass
        finally:
            self._connection.close()

    def _take(self, received: bytes) -> None:
        for piece in self._reader.receive(received):
            if piece.opcode == BINARY and not self._closed:
                self._data += piece.payload
            elif piece.opcode == PING and not self._closed:
                self._write(PONG, piece.payload)
            elif piece.opcode == CLOSE and not self._closed:
                self._write(CLOSE, piece.payload[:2])
                self._closed = True

    def _write(self, opcode: int, payload: bytes) -> None:
        """Send a whole frame, since a part of one would spoil the next; raises OSError."""
        frame = memoryview(encode_frame(opcode, payload, os.urandom(4)))
        end = time.monotonic() + SEND_LIMIT
        while frame:
            try:
                frame = frame[self._connection.send(frame) :]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if not select.select([], [self._connection], [], max(0, end - time.monotonic()))[1]:
                    raise TimeoutError from None


def upgrade(connection: TlsSocket, endpoint: Endpoint, path: str) -> WebSocket:
    """Open a WebSocket on a TLS session, which is closed if that fails.

    Raises Problem `intercepted` for a reply that is not a WebSocket's, `connection-lost`, `connection-failed`, `tls-*`.
    """
    try:
        return _upgrade(connection, endpoint, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, ssl.SSLError):
            raise make_tls_problem(endpoint, error) from None
        if isinstance(error, OSError):
            raise make_connection_problem(endpoint, error) from None
        raise


def _upgrade(connection: TlsSocket, endpoint: Endpoint, path: str) -> WebSocket:
    key = base64.b64encode(os.urandom(16)).decode()
    host = endpoint.bracketed if endpoint.port == WEBSOCKET_PORT else str(endpoint)
    connection.sendall(encode_upgrade(host, path, key))
    head, rest = _read_head(connection, endpoint)
    try:
        _check_reply(parse_upgrade_reply(head), key)
        return WebSocket(connection, rest)
    except ProtocolError as error:
        said = f"{endpoint} does not answer as a WebSocket: {error}"
        raise Problem("intercepted", f"{said}; its certificate is issued by {read_issuer(connection)}") from None


def _read_head(connection: TlsSocket, endpoint: Endpoint) -> tuple[bytes, bytes]:
    """Return the reply without its empty line, and the bytes after it; a head longer than `HEAD_LIMIT` is cut off."""
    received = b""
    while _END_OF_HEAD not in received and len(received) < HEAD_LIMIT:
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise Problem("connection-lost", f"{endpoint} closed the connection in the middle of the upgrade")
        received += chunk
    head, _, rest = received.partition(_END_OF_HEAD)
    return head, rest


def _check_reply(reply: UpgradeReply, key: str) -> None:
    if reply.status != 101:
        server = reply.headers.get("server")
        raise ProtocolError(f"HTTP status {reply.status}" + (f" from {printable(server, 60)}" if server else ""))
    upgraded = reply.headers.get("upgrade", "").lower() == "websocket"
    if not upgraded or "upgrade" not in reply.headers.get("connection", "").lower():
        raise ProtocolError("it does not upgrade the connection")
    digest = hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()
    if reply.headers.get("sec-websocket-accept") != base64.b64encode(digest).decode():
        raise ProtocolError("it has not read the request")
    if reply.headers.get("sec-websocket-protocol", "").lower() != "mqtt":
        raise ProtocolError("it does not take the subprotocol mqtt")
