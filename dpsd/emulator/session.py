"""One connection: TLS, perhaps WebSocket, then packets in and steps out.

This is the only module that sends, and the only one that consults the faults: `_arrive` for what comes in, `_send` for
what goes out.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from OpenSSL import SSL

from dpsd.emulator.attestation import Credential
from dpsd.emulator.dps_service import DpsConversation
from dpsd.emulator.events import EventLog
from dpsd.emulator.faults import Fault, Faults, altered
from dpsd.emulator.hub_service import HubConversation
from dpsd.emulator.packets import (
    PROTOCOL_LEVEL,
    ClientPacket,
    ConnAck,
    Connect,
    Disconnect,
    Framing,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    ServerPacket,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    encode_packet,
)
from dpsd.emulator.steps import (
    ACCEPTED,
    NOT_AUTHORIZED,
    UNACCEPTABLE_PROTOCOL,
    Answer,
    Event,
    HangUp,
    Message,
    Pause,
    Step,
)
from dpsd.emulator.tls_stream import TlsStream
from dpsd.emulator.websocket import WebSocketStream
from dpsd.emulator.world import World, timestamp
from dpsd.errors import ProtocolError
from dpsd.protocol.dps import REPLY_FILTER, encode_reply_topic
from dpsd.protocol.login import DpsLogin, parse_login

OPENING_SECONDS = 30.0
"""From the TCP connection to a complete CONNECT."""
KEEP_ALIVE_FACTOR = 1.5

Conversation = DpsConversation | HubConversation


class Ended(Exception):
    """The session is over. cut: without a word of TLS; graceful: the client said so."""

    def __init__(self, reason: str, *, cut: bool = False, graceful: bool = False) -> None:
        super().__init__(reason)
        self.cut = cut
        self.graceful = graceful


class Surroundings(NamedTuple):
    """What all sessions share. contexts: TLS by the name of the server's certificate."""

    world: World
    faults: Faults
    log: EventLog
    clock: Callable[[], float]
    contexts: dict[str, SSL.Context]


class Session:
    """One connection from its acceptance to its end."""

    def __init__(
        self,
        surroundings: Surroundings,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        websocket: bool,
    ) -> None:
        self._around = surroundings
        self._tcp = reader, writer
        self._websocket = websocket
        self._stream: TlsStream | WebSocketStream | None = None
        self._framing = Framing()
        self._conversation: Conversation | None = None
        self._client: str | None = None
        self._service: str | None = None
        self._keep_alive = 0.0
        self._silent = False
        self._packet_id = 0

    async def run(self) -> None:
        """Serve until either side ends it; never raises for what a peer does."""
        ended = Ended("the connection was lost", cut=True)
        try:
            await self._serve()
        except Ended as end:
            ended = end
        except (ProtocolError, ConnectionError) as error:
            ended = Ended(str(error) or type(error).__name__)
        except asyncio.TimeoutError:
            ended = Ended("nothing was heard in time")
        finally:
            await self._close(ended)

    async def _serve(self) -> None:
        await asyncio.wait_for(self._open(), OPENING_SECONDS)
        packets = self._packets()
        connect = await asyncio.wait_for(packets.__anext__(), OPENING_SECONDS)
        if not isinstance(connect, Connect):
            raise ProtocolError("the first packet is not CONNECT")
        await self._connect(connect)
        async for packet in packets:
            await self._handle(packet)

    async def _open(self) -> None:
        certificate = "valid"
        if (fault := self._take("accept")) and fault.do == "certificate":
            certificate = fault.details.string("which")
        elif fault:
            await self._suffer(fault)
        tls = TlsStream(*self._tcp, self._around.contexts[certificate])
        await tls.open()
        self._chain = tls.peer_chain()
        if self._websocket:
            self._stream = websocket = WebSocketStream(tls)
            await websocket.open()
        else:
            self._stream = tls

    async def _packets(self) -> AsyncIterator[ClientPacket]:
        assert self._stream is not None
        while True:
            for packet in self._framing.packets():
                yield packet
            data = await asyncio.wait_for(self._stream.read(), self._patience())
            if not data:
                raise Ended("the client closed the connection")
            self._framing.feed(data)

    def _patience(self) -> float | None:
        """Seconds until silence, or the token's end, ends the session."""
        limits = [KEEP_ALIVE_FACTOR * self._keep_alive] if self._keep_alive else []
        deadline = self._conversation.deadline if self._conversation else None
        if deadline is not None:
            limits.append(max(0.0, deadline - self._around.clock()))
        return min(limits, default=None)

    async def _connect(self, connect: Connect) -> None:
        self._client = connect.client_id
        self._keep_alive = connect.keep_alive
        code = UNACCEPTABLE_PROTOCOL
        if connect.protocol_level == PROTOCOL_LEVEL:
            code = self._login(connect)
        self._log("connect", code=code, username=connect.username, cleanSession=connect.clean_session)
        await self._arrive("connect")
        present = self._conversation.session_present if self._conversation and code == ACCEPTED else False
        await self._send(ConnAck(code, present), "connack")
        if code != ACCEPTED:
            raise Ended(f"CONNACK {code}")

    def _login(self, connect: Connect) -> int:
        """Find the service that the username means and return its CONNACK code."""
        try:
            login = parse_login(connect.username)
        except ProtocolError:
            return NOT_AUTHORIZED
        credential = Credential(self._chain, connect.password)
        if isinstance(login, DpsLogin):
            self._conversation = DpsConversation(self._around.world, login, credential)
        else:
            self._conversation = HubConversation(self._around.world, login, credential, self._kicked)
        self._service = self._conversation.service
        return self._conversation.connect(connect, self._around.clock())

    def _kicked(self) -> None:
        """A newer connection of the same device came; the read that waits here sees the end."""
        self._log("kicked")
        if self._stream:
            self._stream.close()

    async def _handle(self, packet: ClientPacket) -> None:
        if isinstance(packet, Publish):
            await self._publish(packet)
        elif isinstance(packet, Subscribe):
            await self._subscribe(packet)
        elif isinstance(packet, Unsubscribe):
            self._active.unsubscribe(packet.filters)
            await self._send(UnsubAck(packet.packet_id), "unsuback")
        elif isinstance(packet, PingReq):
            await self._arrive("ping")
            await self._send(PingResp(), "pingresp")
        elif isinstance(packet, Disconnect):
            raise Ended("DISCONNECT", graceful=True)
        elif not isinstance(packet, PubAck):
            raise ProtocolError("a second CONNECT")

    @property
    def _active(self) -> Conversation:
        assert self._conversation is not None
        return self._conversation

    async def _subscribe(self, packet: Subscribe) -> None:
        codes = self._active.subscribe(packet.filters)
        self._log("subscribe", filters=[name for name, _ in packet.filters], codes=codes)
        await self._arrive("subscribe")
        if codes is None:
            raise Ended("a subscription that is not allowed here")
        await self._send(SubAck(packet.packet_id, tuple(codes)), "suback")

    async def _publish(self, packet: Publish) -> None:
        """PUBACK first, then the answer: one SDK fails on any other order."""
        if packet.qos == 2:
            raise ProtocolError("a PUBLISH at QoS 2")
        moment = self._active.moment(packet.topic)
        self._log(moment, topic=packet.topic, bytes=len(packet.body), qos=packet.qos)
        await self._arrive(moment)
        steps = self._active.publish(packet.topic, packet.body, packet.retain, self._around.clock())
        if packet.packet_id is not None:
            await self._send(PubAck(packet.packet_id), "puback")
        for step in steps:
            await self._take_step(step)

    async def _take_step(self, step: Step) -> None:
        if isinstance(step, Answer):
            await self._answer(step)
        elif isinstance(step, Message):
            self._log(step.moment, topic=step.topic, bytes=len(step.body))
            await self._deliver(step.filter, step.topic, step.body, step.moment)
        elif isinstance(step, Event):
            self._log(step.name, **step.fields)
        elif isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, HangUp):
            raise Ended(step.reason)

    async def _answer(self, answer: Answer) -> None:
        self._log(answer.moment, status=answer.reply.status, retryAfter=answer.reply.retry_after, **answer.note)
        fault = self._take(answer.moment)
        topic, body = encode_reply_topic(answer.reply), answer.body
        if fault and fault.do == "reply":
            topic, body = altered(answer, fault.details, timestamp(self._around.clock()))
            fault = None
        await self._deliver(REPLY_FILTER, topic, body, fault)

    async def _deliver(self, filter_name: str, topic: str, body: bytes, moment: str | Fault | None) -> None:
        """Publish at the QoS that was granted; without a subscription the message is lost."""
        qos = self._active.granted.get(filter_name)
        if qos is None:
            self._log("lost", topic=topic)
            return
        self._packet_id = self._packet_id % 65535 + 1
        await self._send(Publish(topic, body, qos, self._packet_id if qos else None), moment)

    async def _arrive(self, moment: str) -> None:
        """Something came in: suffer the fault that is due now."""
        fault = self._take(moment)
        if fault:
            await self._suffer(fault)

    async def _suffer(self, fault: Fault) -> None:
        if fault.do in ("drop", "hang-up"):
            raise Ended(f"fault {fault.do}", cut=fault.do == "drop")
        if fault.do == "silence":
            self._silent = True
            if self._stream is None:
                await asyncio.Event().wait()
        elif fault.do == "delay":
            await asyncio.sleep(float(fault.details.values["seconds"]))
        elif fault.do == "raw":
            await self._write(_raw(fault))

    async def _send(self, packet: ServerPacket, moment: str | Fault | None) -> None:
        """Send a packet, as the fault that is due at this moment wants it; `moment` may be that fault already."""
        fault = self._take(moment) if isinstance(moment, str) else moment
        if fault is None:
            await self._write(encode_packet(packet))
            return
        data = encode_packet(_recoded(packet, fault))
        if fault.do in ("silence", "delay"):
            await self._suffer(fault)
        await self._write(
            {"omit": b"", "raw": _raw(fault), "duplicate": data * 2, "cut": _cut(data, fault)}.get(fault.do, data)
        )
        if fault.do in ("drop", "hang-up", "cut"):
            raise Ended(f"fault {fault.do}", cut=fault.do != "hang-up")

    def _take(self, moment: str) -> Fault | None:
        fault = self._around.faults.take(moment, self._client, self._service)
        if fault:
            self._log("fault", on=moment, do=fault.do)
        return fault

    async def _write(self, data: bytes) -> None:
        if data and not self._silent:
            if self._stream is None:
                self._tcp[1].write(data)
            else:
                await self._stream.write(data)

    def _log(self, event: str, **fields: object) -> None:
        self._around.log.write(event, client=self._client, service=self._service, **fields)

    async def _close(self, ended: Ended) -> None:
        self._log("disconnect", reason=str(ended))
        if self._conversation:
            for step in self._conversation.closed(ended.graceful, self._around.clock()):
                if isinstance(step, Event):
                    self._log(step.name, **step.fields)
        if self._stream is None:
            self._tcp[1].close()
        elif ended.cut:
            self._stream.drop()
        else:
            self._stream.close()


def _recoded(packet: ServerPacket, fault: Fault) -> ServerPacket:
    """Put the fault's code into a CONNACK or SUBACK."""
    if fault.do == "code" and isinstance(packet, ConnAck):
        return ConnAck(fault.details.integer("code"), False)
    if fault.do == "code" and isinstance(packet, SubAck):
        return SubAck(packet.packet_id, tuple(fault.details.integer("code") for _ in packet.codes))
    return packet


def _raw(fault: Fault) -> bytes:
    if fault.do != "raw":
        return b""
    text = fault.details.optional_string("hex")
    return os.urandom(fault.details.optional_integer("size") or 64) if text is None else bytes.fromhex(text)


def _cut(data: bytes, fault: Fault) -> bytes:
    return data[: fault.details.optional_integer("size") or 1] if fault.do == "cut" else data
