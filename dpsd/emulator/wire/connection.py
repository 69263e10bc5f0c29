"""A client's connection: TLS, perhaps WebSocket, and MQTT packets on it. Faults happen here, and nowhere else.

`apply_fault` is called for everything that comes in, and `send` for everything that goes out.
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
from dpsd.emulator.wire import alterations
from dpsd.emulator.wire.encoding import encode_packet
from dpsd.emulator.wire.faults import ALERTS, FRAMES
from dpsd.emulator.wire.moments import Fault, Faults, Moment
from dpsd.emulator.wire.packets import ClientPacket, ServerPacket
from dpsd.emulator.wire.parsing import Framing
from dpsd.emulator.wire.tls import CHUNK, Offer, TlsStream
from dpsd.emulator.wire.websocket import WebSocketStream

OPENING_SECONDS = 30.0
"""A client has this long for the handshakes of TLS and WebSocket, and then as long for CONNECT."""
ENDINGS = ("drop", "reset", "hang-up")
"""How a connection may end: TCP without an end of TLS, by RST, or both in order. Faults have the same names."""
_NO_LINGERING = struct.pack("ii", 1, 0)
_FATAL_ALERT = b"\x15\x03\x03\x00\x02\x02"
"""The beginning of a TLS 1.2 record with a fatal alert; the alert's code is missing."""


class Ended(Exception):  # noqa: N818 - most ends are no error
    """The connection must end now. how: one of ENDINGS. graceful: the client sent DISCONNECT."""

    def __init__(self, reason: str, *, how: str = "hang-up", graceful: bool = False) -> None:
        super().__init__(reason)
        self.how = how
        self.graceful = graceful


class Connection:
    """One TCP connection. Faults and log lines are for its client and service, once these are known."""

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
        self._kept = b""

    async def open(self, context: Callable[[Offer], SSL.Context]) -> None:
        """Do the handshakes of TLS and WebSocket; raises Ended, OSError, TimeoutError.

        context: returns the TLS context for what is to be offered.
        """
        offer = await self._choose_offer()
        await asyncio.wait_for(self._shake_hands(context(offer)), OPENING_SECONDS)

    async def _choose_offer(self) -> Offer:
        """Apply the fault of `accept`, and return what to offer in the TLS handshake."""
        fault = self.take_fault("accept")
        if fault and fault.do == "certificate":
            return Offer(certificate=fault.details.string("which"))
        if fault and fault.do == "tls":
            return Offer(version=fault.details.string("version"), trust=fault.details.values.get("trust", "any"))
        if fault and fault.do == "alert":
            await self._send_alert(ALERTS[fault.details.string("which")])
        if fault and fault.do == "silence":
            while await self._reader.read(CHUNK):
                pass
            raise Ended("the client gave up", how="drop")
        await self._apply(fault)
        return Offer()

    async def _send_alert(self, code: int) -> None:
        """Answer the client's hello by an alert; raises Ended."""
        # The whole record is read first: with unread bytes TCP would send a reset in place of the alert.
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
        self.chain = tls.read_peer_chain()
        self._stream = tls
        if self.transport == "websocket":
            self._stream = await self._upgrade(tls)

    async def _upgrade(self, tls: TlsStream) -> WebSocketStream:
        """Answer the HTTP request; raises Ended when it does not become a WebSocket."""
        websocket = WebSocketStream(tls)
        request = await websocket.read_request()
        await self.apply_fault("upgrade")
        fault = self.take_fault("upgrade-reply")
        changes = fault.details.values if fault and fault.do == "http" else {}
        await self._send_bytes(websocket.make_response(request, changes), fault)
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

    async def apply_fault(self, moment: str) -> None:
        """Apply the fault that is due when this comes in; raises Ended."""
        await self._apply(self.take_fault(moment))

    async def send(self, packet: ServerPacket, fault: Fault | None) -> None:
        """Send a packet as the fault alters it; raises Ended, OSError, and ProtocolError for one that is too long."""
        await self._send_bytes(encode_packet(alterations.replace_code(packet, fault) if fault else packet), fault)

    def take_fault(self, moment: str) -> Fault | None:
        """Return the fault that is due at this moment, or None; it is logged."""
        fault = self._faults.take(Moment(moment, self.client, self.service, self.transport))
        if fault:
            self.log("fault", on=moment, do=fault.do)
        return fault

    def log(self, event: str, **fields: object) -> None:
        """Write a line with the connection's client and service to the event log."""
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

    async def _apply(self, fault: Fault | None) -> None:
        """Do what a fault does when something comes in, or before something goes out; raises Ended."""
        if fault is None:
            return
        if fault.do in ENDINGS:
            raise Ended(f"fault {fault.do}", how=fault.do)
        if fault.do == "silence":
            self._silent = True
        elif fault.do == "delay":
            await asyncio.sleep(float(fault.details.values["seconds"]))
        elif fault.do == "raw":
            await self._write(alterations.make_raw_bytes(fault))

    async def _send_bytes(self, data: bytes, fault: Fault | None) -> None:
        """Send bytes as the fault alters them; raises Ended."""
        if fault is None:
            await self._write(data)
        elif fault.do in ("silence", "delay"):
            await self._apply(fault)
            await self._write(data)
        elif fault.do == "join":
            self._kept += data
        elif fault.do in ("frame", "fragment"):
            await self._send_frames(data, fault)
        else:
            for piece in alterations.split_bytes(data, fault):
                await self._write(piece)
            if fault.do in (*ENDINGS, "cut"):
                raise Ended(f"fault {fault.do}", how=fault.do if fault.do in ENDINGS else "drop")

    async def _send_frames(self, data: bytes, fault: Fault) -> None:
        """Send bytes under a fault that only WebSocket can have; raises Ended."""
        assert isinstance(self._stream, WebSocketStream)
        if self._silent:
            return
        if fault.do == "fragment":
            await self._stream.write_fragments(alterations.split_bytes(data, fault))
            return
        kind = fault.details.string("kind")
        await self._stream.write_frame(FRAMES[kind], bytes.fromhex(fault.details.optional_string("hex") or ""))
        if kind == "close":
            raise Ended("fault frame")
        await self._write(data)

    async def _write(self, data: bytes) -> None:
        """Send bytes, in one piece with those that `join` has kept."""
        data, self._kept = self._kept + data, b""
        if self._silent or not data:
            return
        if self._stream is None:
            self._writer.write(data)
            await self._writer.drain()
        else:
            await self._stream.write(data)
