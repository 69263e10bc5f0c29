"""MQTT in WebSocket frames, over a TLS stream.

Source: Microsoft's DPS and IoT Hub MQTT pages (path, subprotocol); SDKs write the subprotocol in either case, so it is
compared without case and echoed as it came. A query (`?iothub-no-client-cert=true`) is allowed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import unquote

from websockets.exceptions import NegotiationError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from dpsd.emulator.packets import PACKET_LIMIT
from dpsd.emulator.tls_stream import TlsStream

PATH = "/$iothub/websocket"
_DATA = (Opcode.BINARY, Opcode.CONT)

# websockets logs frames, so passwords, when someone turns debugging on.
_silent = logging.Logger("dpsd.emulator.websocket", logging.CRITICAL + 1)


class WebSocketStream:
    """Reads and writes MQTT's bytes as `TlsStream` does; frames and packets need not coincide."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream
        self._protocol = ServerProtocol(select_subprotocol=_selected, max_size=PACKET_LIMIT + 5, logger=_silent)

    async def open(self) -> None:
        """Answer the upgrade request; raises ConnectionError when it is refused."""
        while not (events := await self._receive()):
            pass
        await self._answer(events[0])
        if self._protocol.state is not OPEN:
            raise ConnectionError("not an upgrade to MQTT over WebSocket")

    async def _answer(self, request: object) -> None:
        assert isinstance(request, Request)
        response = self._protocol.accept(request)
        if unquote(request.path).partition("?")[0] != PATH:
            response = self._protocol.reject(404, "no such path\n")
        self._protocol.send_response(response)
        await self._flush()

    async def read(self) -> bytes:
        """Return the next frames' data, empty at the end; raises ConnectionError."""
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

    def close(self) -> None:
        if self._protocol.state is OPEN:
            self._protocol.send_close(1000)
            with suppress(ConnectionError):
                self._stream.put(b"".join(self._protocol.data_to_send()))
        self._stream.close()

    def drop(self) -> None:
        self._stream.drop()

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


def _selected(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol:
    for name in offered:
        if name.lower() == "mqtt":
            return name
    raise NegotiationError("the subprotocol is mqtt")
