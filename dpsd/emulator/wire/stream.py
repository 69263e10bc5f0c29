"""A connection's wire: TLS, perhaps WebSocket, and MQTT packets on it. What goes wrong on purpose goes wrong here.

`arrive` is called for everything that comes in and `send` for everything that goes out: no other place acts on faults.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from cryptography import x509
from OpenSSL import SSL

from dpsd.emulator.events import EventLog
from dpsd.emulator.wire import spoil
from dpsd.emulator.wire.encoding import encode_packet
from dpsd.emulator.wire.faults import ALERTS, FRAMES
from dpsd.emulator.wire.moments import Fault, Faults, Moment
from dpsd.emulator.wire.packets import ClientPacket, ServerPacket
from dpsd.emulator.wire.parsing import Framing
from dpsd.emulator.wire.tls import CHUNK, Offer, TlsStream
from dpsd.emulator.wire.websocket import WebSocketStream

OPENING_SECONDS = 30.0
"""For the handshakes of TLS and WebSocket, and then for CONNECT."""
ENDINGS = ("drop", "reset", "hang-up")
"""Effects that end the connection, and how: without a word of TLS, by RST, in order."""
_NO_LINGERING = struct.pack("ii", 1, 0)
_FATAL_ALERT = b"\x15\x03\x03\x00\x02\x02"
"""A TLS 1.2 record with an alert of two bytes, its level; the alert's code follows."""


class Ended(Exception):  # noqa: N818 - most ends are no error
    """The connection is to end. how: one of ENDINGS; graceful: the client said so."""

    def __init__(self, reason: str, *, how: str = "hang-up", graceful: bool = False) -> None:
        super().__init__(reason)
        self.how = how
        self.graceful = graceful


class Wire:
    """One TCP connection. client and service narrow down the faults and mark the log, once they are known."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        websocket: bool,
        faults: Faults,
        log: EventLog,
    ) -> None:
        self.client: str | None = None
        self.service: str | None = None
        self.chain: tuple[x509.Certificate, ...] = ()
        self.transport = "websocket" if websocket else "mqtt"
        self._reader = reader
        self._writer = writer
        self._faults = faults
        self._log = log
        self._stream: TlsStream | WebSocketStream | None = None
        self._framing = Framing()
        self._silent = False
        self._held = b""

    async def open(self, context: Callable[[Offer], SSL.Context]) -> None:
        """Shake hands as the server whose context is due; raises Ended, OSError, TimeoutError."""
        offer = await self._accept()
        await asyncio.wait_for(self._shake_hands(context(offer)), OPENING_SECONDS)

    async def _accept(self) -> Offer:
        """Return what to offer in the TLS handshake."""
        fault = self.take("accept")
        if fault and fault.do == "certificate":
            return Offer(certificate=fault.details.string("which"))
        if fault and fault.do == "tls":
            return Offer(version=fault.details.string("version"), trust=fault.details.values.get("trust", "any"))
        if fault and fault.do == "alert":
            await self._alert(ALERTS[fault.details.string("which")])
        if fault and fault.do == "silence":
            while await self._reader.read(CHUNK):
                pass
            raise Ended("the client gave up", how="drop")
        await self._suffer(fault)
        return Offer()

    async def _alert(self, code: int) -> None:
        """Answer the record with the client's hello, once all of it is here: unread bytes would become a reset."""
        try:
            header = await asyncio.wait_for(self._reader.readexactly(5), OPENING_SECONDS)
            await asyncio.wait_for(self._reader.readexactly(struct.unpack("!H", header[3:])[0]), OPENING_SECONDS)
        except asyncio.IncompleteReadError:
            raise Ended("the client left in the handshake") from None
        await self._write(_FATAL_ALERT + bytes([code]))
        raise Ended(f"fault alert {code}")

    async def _shake_hands(self, context: SSL.Context) -> None:
        tls = TlsStream(self._reader, self._writer, context)
        await tls.open()
        self.chain = tls.peer_chain()
        self._stream = tls
        if self.transport == "websocket":
            self._stream = await self._upgrade(tls)

    async def _upgrade(self, tls: TlsStream) -> WebSocketStream:
        """Answer HTTP's upgrade; raises Ended when the answer is none."""
        websocket = WebSocketStream(tls)
        request = await websocket.request()
        await self.arrive("upgrade")
        fault = self.take("upgrade-reply")
        changes = fault.details.values if fault and fault.do == "http" else {}
        await self._emit(websocket.answer(request, changes), fault)
        if not websocket.is_open():
            raise Ended("no upgrade to MQTT over WebSocket")
        return websocket

    async def packets(self) -> AsyncIterator[ClientPacket]:
        """Yield what the client sends until it closes; raises ProtocolError and OSError."""
        assert self._stream is not None
        while data := await self._stream.read():
            self._framing.feed(data)
            for packet in self._framing.packets():
                yield packet

    async def arrive(self, moment: str) -> None:
        """Something came in: suffer the fault that is due."""
        await self._suffer(self.take(moment))

    async def send(self, packet: ServerPacket, fault: Fault | None) -> None:
        """Send a packet, or what the fault makes of it."""
        await self._emit(encode_packet(spoil.recoded(packet, fault) if fault else packet), fault)

    def take(self, moment: str) -> Fault | None:
        """Return the fault that is due at this moment."""
        fault = self._faults.take(Moment(moment, self.client, self.service, self.transport))
        if fault:
            self.log("fault", on=moment, do=fault.do)
        return fault

    def log(self, event: str, **fields: object) -> None:
        self._log.write(event, client=self.client, service=self.service, **fields)

    def close(self, how: str = "hang-up") -> None:
        """End the connection; how: one of ENDINGS."""
        if how == "reset":
            self._reset()
        elif how == "drop" or self._stream is None:
            self._writer.close()
        else:
            self._stream.close()

    def _reset(self) -> None:
        with suppress(OSError):  # Raised where the connection has ended already.
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        self._writer.transport.abort()

    async def _suffer(self, fault: Fault | None) -> None:
        """Do what a fault does to whatever comes in, and before whatever goes out."""
        if fault is None:
            return
        if fault.do in ENDINGS:
            raise Ended(f"fault {fault.do}", how=fault.do)
        if fault.do == "silence":
            self._silent = True
        elif fault.do == "delay":
            await asyncio.sleep(float(fault.details.values["seconds"]))
        elif fault.do == "raw":
            await self._write(spoil.raw(fault))

    async def _emit(self, data: bytes, fault: Fault | None) -> None:
        """Send what goes out, or what the fault makes of it."""
        if fault is None:
            await self._write(data)
        elif fault.do in ("silence", "delay"):
            await self._suffer(fault)
            await self._write(data)
        elif fault.do == "join":
            self._held += data
        elif fault.do in ("frame", "fragment"):
            await self._emit_frames(data, fault)
        else:
            for piece in spoil.pieces(data, fault):
                await self._write(piece)
            if fault.do in (*ENDINGS, "cut"):
                raise Ended(f"fault {fault.do}", how=fault.do if fault.do in ENDINGS else "drop")

    async def _emit_frames(self, data: bytes, fault: Fault) -> None:
        """Do what only WebSocket has; the row concerns no other connection."""
        assert isinstance(self._stream, WebSocketStream)
        if self._silent:
            return
        if fault.do == "fragment":
            await self._stream.write_fragments(spoil.pieces(data, fault))
            return
        kind = fault.details.string("kind")
        await self._stream.write_frame(FRAMES[kind], bytes.fromhex(fault.details.optional_string("hex") or ""))
        if kind == "close":
            raise Ended("fault frame")
        await self._write(data)

    async def _write(self, data: bytes) -> None:
        """Send bytes in one piece, after those that were kept for it."""
        data, self._held = self._held + data, b""
        if self._silent or not data:
            return
        if self._stream is None:
            self._writer.write(data)
            await self._writer.drain()
        else:
            await self._stream.write(data)
