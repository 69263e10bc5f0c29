"""A connection's wire: TLS, perhaps WebSocket, and MQTT packets on it. What goes wrong on purpose goes wrong here.

`arrive` is called for everything that comes in and `send` for everything that goes out: no other place acts on faults.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from cryptography import x509
from OpenSSL import SSL

from dpsd.emulator.events import EventLog
from dpsd.emulator.faults import Fault, Faults
from dpsd.emulator.packets import ClientPacket, ConnAck, Framing, ServerPacket, SubAck, encode_packet
from dpsd.emulator.tls_stream import CHUNK, TlsStream
from dpsd.emulator.websocket import WebSocketStream

OPENING_SECONDS = 30.0
"""For the handshakes of TLS and WebSocket, and then for CONNECT."""


class Ended(Exception):  # noqa: N818 - most ends are no error
    """The connection is to end. cut: without a word of TLS; graceful: the client said so."""

    def __init__(self, reason: str, *, cut: bool = False, graceful: bool = False) -> None:
        super().__init__(reason)
        self.cut = cut
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

    async def open(self, contexts: dict[str, SSL.Context]) -> None:
        """Shake hands as the server whose context is due; raises Ended, OSError, TimeoutError."""
        certificate = await self._accept()
        await asyncio.wait_for(self._shake_hands(contexts[certificate]), OPENING_SECONDS)

    async def _accept(self) -> str:
        """Return the name of the certificate to show."""
        fault = self.take("accept")
        if fault and fault.do == "certificate":
            return fault.details.string("which")
        if fault and fault.do == "silence":
            while await self._reader.read(CHUNK):
                pass
            raise Ended("the client gave up", cut=True)
        await self._suffer(fault)
        return "valid"

    async def _shake_hands(self, context: SSL.Context) -> None:
        tls = TlsStream(self._reader, self._writer, context)
        await tls.open()
        self.chain = tls.peer_chain()
        self._stream = tls
        if self.transport == "websocket":
            self._stream = websocket = WebSocketStream(tls)
            await websocket.open()

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
        if fault is None:
            await self._write(encode_packet(packet))
            return
        if fault.do in ("silence", "delay"):
            await self._suffer(fault)
        await self._write(_spoilt(packet, fault))
        if fault.do in ("drop", "hang-up", "cut"):
            raise Ended(f"fault {fault.do}", cut=fault.do != "hang-up")

    def take(self, moment: str) -> Fault | None:
        """Return the fault that is due at this moment."""
        fault = self._faults.take(moment, self.client, self.service)
        if fault:
            self.log("fault", on=moment, do=fault.do)
        return fault

    def log(self, event: str, **fields: object) -> None:
        self._log.write(event, client=self.client, service=self.service, **fields)

    def close(self, *, cut: bool = False) -> None:
        if self._stream is None:
            self._writer.close()
        elif cut:
            self._stream.drop()
        else:
            self._stream.close()

    async def _suffer(self, fault: Fault | None) -> None:
        if fault is None:
            return
        if fault.do in ("drop", "hang-up"):
            raise Ended(f"fault {fault.do}", cut=fault.do == "drop")
        if fault.do == "silence":
            self._silent = True
        elif fault.do == "delay":
            await asyncio.sleep(float(fault.details.values["seconds"]))
        elif fault.do == "raw":
            await self._write(_raw(fault))

    async def _write(self, data: bytes) -> None:
        if self._silent or not data:
            return
        if self._stream is None:
            self._writer.write(data)
            await self._writer.drain()
        else:
            await self._stream.write(data)


def _spoilt(packet: ServerPacket, fault: Fault) -> bytes:
    data = encode_packet(_recoded(packet, fault))
    if fault.do == "cut":
        return data[: fault.details.optional_integer("size") or 1]
    changed = {"omit": b"", "duplicate": data * 2, "raw": _raw(fault)}
    return changed.get(fault.do, data)


def _recoded(packet: ServerPacket, fault: Fault) -> ServerPacket:
    """Put the fault's code into a CONNACK or SUBACK."""
    if fault.do == "code" and isinstance(packet, ConnAck):
        return ConnAck(fault.details.integer("code"), False)
    if fault.do == "code" and isinstance(packet, SubAck):
        return SubAck(packet.packet_id, tuple(fault.details.integer("code") for _ in packet.codes))
    return packet


def _raw(fault: Fault) -> bytes:
    text = fault.details.optional_string("hex")
    return os.urandom(fault.details.optional_integer("size") or 64) if text is None else bytes.fromhex(text)
