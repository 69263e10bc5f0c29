"""MQTT in WebSocket frames, over a TLS stream.

Source of path and subprotocol: Microsoft's pages on DPS and IoT Hub over MQTT. SDKs write the subprotocol in upper or
lower case: any is taken, and repeated as it came. A query (`?iothub-no-client-cert=true`) is allowed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from websockets.exceptions import NegotiationError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from dpsd.emulator.wire.parsing import PACKET_LIMIT
from dpsd.emulator.wire.tls import TlsStream

PATH = "/$iothub/websocket"
_DATA = (Opcode.BINARY, Opcode.CONT)

# With debugging on, websockets logs frames, and with them passwords.
_SILENT = logging.Logger("dpsd.emulator.wire.websocket", logging.CRITICAL + 1)


class WebSocketStream:
    """Reads and writes bytes as `TlsStream` does, in binary frames; a frame need not hold one whole packet."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream
        self._protocol = ServerProtocol(
            select_subprotocol=_select_subprotocol, max_size=PACKET_LIMIT + 5, logger=_SILENT
        )
        self._close_sent = False

    async def read_request(self) -> Request:
        """Return the HTTP request that comes first; raises ConnectionError."""
        while not (events := await self._receive()):
            pass
        assert isinstance(events[0], Request)
        return events[0]

    def make_response(self, request: Request, changes: Mapping[str, Any]) -> bytes:
        """Return the bytes of the response. changes: its `status`, `headers` and `body` where they are to be others."""
        response = self._protocol.accept(request)
        if unquote(request.path).partition("?")[0] != PATH:
            response = self._protocol.reject(404, "no such path\n")
        if changes and changes["status"] != 101:
            response = self._protocol.reject(404, changes.get("body", ""))
        self._protocol.send_response(_change_response(response, changes))
        return b"".join(self._protocol.data_to_send())

    def is_open(self) -> bool:
        """Tell whether the response was an upgrade."""
        return self._protocol.state is OPEN

    async def read(self) -> bytes:
        """Return the data of the next frames, or none at the end; raises ConnectionError."""
        while self._protocol.state is OPEN:
            frames = [event for event in await self._receive() if isinstance(event, Frame)]
            if any(frame.opcode is Opcode.TEXT for frame in frames):
                self._protocol.fail(1003, "MQTT needs binary frames")
                await self._flush()
                return b""
            if data := b"".join(bytes(frame.data) for frame in frames if frame.opcode in _DATA):
                return data
        return b""

    async def write(self, data: bytes) -> None:
        """Send `data` as one binary frame; raises ConnectionError."""
        if self._protocol.state is not OPEN:
            raise ConnectionError("the WebSocket is closed")
        self._protocol.send_binary(data)
        await self._flush()

    async def write_fragments(self, pieces: Sequence[bytes]) -> None:
        """Send one message in several frames; raises ConnectionError."""
        for index, piece in enumerate(pieces):
            send = self._protocol.send_continuation if index else self._protocol.send_binary
            send(piece, index == len(pieces) - 1)
            await self._flush()

    async def write_frame(self, opcode: int, data: bytes) -> None:
        """Send a frame with any opcode, allowed here or not, and at most 125 bytes; raises ConnectionError."""
        self._close_sent |= opcode == Opcode.CLOSE
        await self._stream.write(bytes([0x80 | opcode, len(data)]) + data)

    def close(self) -> None:
        """End WebSocket, TLS and TCP."""
        if self._protocol.state is OPEN and not self._close_sent:
            self._protocol.send_close(1000)
            with suppress(ConnectionError):
                self._stream.queue(b"".join(self._protocol.data_to_send()))
        self._stream.close()

    async def _receive(self) -> Sequence[object]:
        data = await self._stream.read()
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        await self._flush()
        if not data or self._protocol.handshake_exc:
            raise ConnectionError("the peer left, or does not speak WebSocket")
        return self._protocol.events_received()

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self._stream.write(data)


def _select_subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol:
    for name in offered:
        if name.lower() == "mqtt":
            return name
    raise NegotiationError("the subprotocol is mqtt")


def _change_response(response: Response, changes: Mapping[str, Any]) -> Response:
    if changes:
        response.status_code = changes["status"]
        response.reason_phrase = _find_phrase(response.status_code)
    for name, value in changes.get("headers", {}).items():
        if name in response.headers:
            del response.headers[name]
        if value is not None:
            response.headers[name] = value
    return response


def _find_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unheard Of"
