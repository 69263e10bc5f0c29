"""One connection: a client's packets go to the service it logged in to, the service's steps go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from OpenSSL import SSL

from dpsd.emulator.dps.attestation import Credential
from dpsd.emulator.dps.conversation import DpsConversation
from dpsd.emulator.dps.steps import (
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
from dpsd.emulator.events import EventLog
from dpsd.emulator.hub.conversation import HubConversation
from dpsd.emulator.wire.moments import Fault, Faults
from dpsd.emulator.wire.packets import (
    PROTOCOL_LEVEL,
    ClientPacket,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from dpsd.emulator.wire.spoil import altered
from dpsd.emulator.wire.stream import OPENING_SECONDS, Ended, Wire
from dpsd.emulator.wire.tls import Offer
from dpsd.emulator.world import World, timestamp
from dpsd.errors import ProtocolError
from dpsd.protocol.dps import REPLY_FILTER, encode_reply_topic
from dpsd.protocol.login import DpsLogin, parse_login

KEEP_ALIVE_FACTOR = 1.5
"""Of the keep-alive time, after which a silent client is gone (MQTT 3.1.1, 3.1.2.10)."""
PACKET_IDS = 65535


class Surroundings(NamedTuple):
    """What all sessions share. clock: seconds since 1970; context: returns TLS's for what the server offers."""

    world: World
    faults: Faults
    log: EventLog
    clock: Callable[[], float]
    context: Callable[[Offer], SSL.Context]


class Session:
    """One connection from its acceptance to its end."""

    def __init__(
        self, around: Surroundings, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, websocket: bool
    ) -> None:
        self._around = around
        self._wire = Wire(reader, writer, websocket=websocket, faults=around.faults, log=around.log)
        self._conversation: DpsConversation | HubConversation | None = None
        self._keep_alive = 0
        self._packet_id = 0
        self._kicked = False

    async def run(self) -> None:
        """Serve until either side ends it; raises nothing for what a peer does."""
        ended = Ended("the emulator stops", how="drop")
        try:
            await self._serve()
        except Ended as end:
            ended = end
        except asyncio.TimeoutError:
            ended = Ended("its time is over" if self._is_past_deadline() else "nothing was heard in time")
        except (ProtocolError, OSError) as error:
            ended = Ended(str(error) or type(error).__name__)
        finally:
            self._close(ended)

    async def _serve(self) -> None:
        await self._wire.open(self._around.context)
        packets = self._wire.packets()
        connect = await self._next(packets, OPENING_SECONDS)
        if not isinstance(connect, Connect):
            raise ProtocolError("the first packet is not CONNECT")
        await self._connect(connect)
        while True:
            await self._handle(await self._next(packets, self._patience()))

    async def _next(self, packets: AsyncIterator[ClientPacket], seconds: float | None) -> ClientPacket:
        try:
            return await asyncio.wait_for(packets.__anext__(), seconds)
        except StopAsyncIteration:
            raise Ended("a newer connection" if self._kicked else "the client closed the connection") from None

    def _patience(self) -> float | None:
        """Return the seconds until silence, or the service's deadline, ends the session; None for never."""
        limits = [KEEP_ALIVE_FACTOR * self._keep_alive] if self._keep_alive else []
        if self._active.deadline is not None:
            limits.append(max(0.0, self._active.deadline - self._around.clock()))
        return min(limits, default=None)

    def _is_past_deadline(self) -> bool:
        deadline = self._conversation.deadline if self._conversation else None
        return deadline is not None and deadline <= self._around.clock()

    async def _connect(self, connect: Connect) -> None:
        self._wire.client, self._keep_alive = connect.client_id, connect.keep_alive
        code = self._login(connect) if connect.protocol_level == PROTOCOL_LEVEL else UNACCEPTABLE_PROTOCOL
        self._log_connect(connect, code)
        await self._wire.arrive("connect")
        present = self._active.session_present if code == ACCEPTED else False
        await self._wire.send(ConnAck(code, present), self._wire.take("connack"))
        if code != ACCEPTED:
            raise Ended(f"CONNACK {code}")

    def _log_connect(self, connect: Connect, code: int) -> None:
        credential = "token" if connect.password else "certificate" if self._wire.chain else "none"
        self._wire.log(
            "connect",
            code=code,
            transport=self._wire.transport,
            credential=credential,
            username=connect.username,
            cleanSession=connect.clean_session,
        )

    def _login(self, connect: Connect) -> int:
        """Find the service that the username means and return its CONNACK code."""
        try:
            login = parse_login(connect.username)
        except ProtocolError:
            return NOT_AUTHORIZED
        credential = Credential(self._wire.chain, connect.password)
        if isinstance(login, DpsLogin):
            self._conversation = DpsConversation(self._around.world, login, credential)
        else:
            self._conversation = HubConversation(self._around.world, login, credential, self._kick)
        self._wire.service = self._conversation.service
        return self._conversation.connect(connect, self._around.clock())

    def _kick(self) -> None:
        """A newer connection of the same device came, or its identity went; the waiting read sees the end."""
        self._kicked = True
        self._wire.close()

    async def _handle(self, packet: ClientPacket) -> None:
        if isinstance(packet, Publish):
            await self._publish(packet)
        elif isinstance(packet, Subscribe):
            await self._subscribe(packet)
        elif isinstance(packet, Unsubscribe):
            await self._wire.arrive("unsubscribe")
            self._active.unsubscribe(packet.filters)
            await self._wire.send(UnsubAck(packet.packet_id), self._wire.take("unsuback"))
        elif isinstance(packet, PingReq):
            await self._wire.arrive("ping")
            await self._wire.send(PingResp(), self._wire.take("pingresp"))
        elif isinstance(packet, PubAck):
            await self._wire.arrive("acknowledge")
        elif isinstance(packet, Disconnect):
            await self._wire.arrive("disconnect")
            raise Ended("DISCONNECT", graceful=True)
        else:
            raise ProtocolError("a second CONNECT")

    @property
    def _active(self) -> DpsConversation | HubConversation:
        assert self._conversation is not None
        return self._conversation

    async def _subscribe(self, packet: Subscribe) -> None:
        codes = self._active.subscribe(packet.filters)
        self._wire.log("subscribe", filters=[name for name, _ in packet.filters], codes=codes)
        await self._wire.arrive("subscribe")
        if codes is None:
            raise Ended("a subscription that is not allowed here")
        await self._wire.send(SubAck(packet.packet_id, tuple(codes)), self._wire.take("suback"))

    async def _publish(self, packet: Publish) -> None:
        """PUBACK first, then the answer: one SDK fails on any other order."""
        if packet.qos == 2:
            raise ProtocolError("a PUBLISH at QoS 2")
        moment = self._active.moment(packet.topic)
        self._wire.log(moment, topic=packet.topic, bytes=len(packet.body), qos=packet.qos)
        await self._wire.arrive(moment)
        steps = self._active.publish(packet.topic, packet.body, packet.retain, self._around.clock())
        if packet.packet_id is not None:
            await self._wire.send(PubAck(packet.packet_id), self._wire.take("puback"))
        for step in steps:
            await self._take_step(step)

    async def _take_step(self, step: Step) -> None:
        if isinstance(step, Answer):
            await self._answer(step)
        elif isinstance(step, Message):
            self._wire.log(step.moment, topic=step.topic, bytes=len(step.body))
            await self._deliver(step.filter, step.topic, step.body, self._wire.take(step.moment))
        elif isinstance(step, Event):
            self._wire.log(step.name, **step.fields)
        elif isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, HangUp):
            raise Ended(step.reason)

    async def _answer(self, answer: Answer) -> None:
        self._wire.log(answer.moment, status=answer.reply.status, retryAfter=answer.reply.retry_after, **answer.note)
        topic, body = encode_reply_topic(answer.reply), answer.body
        fault = self._wire.take(answer.moment)
        if fault and fault.do == "reply":
            topic, body = altered(answer, fault.details, timestamp(self._around.clock()))
        await self._deliver(REPLY_FILTER, topic, body, fault)

    async def _deliver(self, filter_name: str, topic: str, body: bytes, fault: Fault | None) -> None:
        """Publish at the QoS that was granted; without a subscription the message is lost."""
        qos = self._active.granted.get(filter_name)
        if qos is None:
            self._wire.log("lost", topic=topic)
            return
        self._packet_id = self._packet_id % PACKET_IDS + 1
        await self._wire.send(Publish(topic, body, qos, self._packet_id if qos else None), fault)

    def _close(self, ended: Ended) -> None:
        self._wire.log("disconnect", reason=str(ended))
        if self._conversation:
            for step in self._conversation.closed(ended.graceful, self._around.clock()):
                self._wire.log(step.name, **step.fields)
        self._wire.close(ended.how)
