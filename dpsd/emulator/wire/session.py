"""A session: a client's packets go to the service that it logged in to, and the service's actions are carried out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from OpenSSL import SSL

from dpsd.emulator.actions import Action, HangUp, Pause, SendMessage, SendReply, WriteLog
from dpsd.emulator.dps.attestation import Credential
from dpsd.emulator.dps.conversation import DpsConversation
from dpsd.emulator.events import EventLog
from dpsd.emulator.hub.conversation import HubConversation
from dpsd.emulator.wire.alterations import alter_reply
from dpsd.emulator.wire.connection import OPENING_SECONDS, Connection, Ended
from dpsd.emulator.wire.moments import Fault, Faults
from dpsd.emulator.wire.packets import (
    ACCEPTED,
    NOT_AUTHORIZED,
    PROTOCOL_LEVEL,
    UNACCEPTABLE_PROTOCOL,
    ClientPacket,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    ServerPacket,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from dpsd.emulator.wire.tls import Offer
from dpsd.emulator.world import World, format_timestamp
from dpsd.errors import ProtocolError
from dpsd.protocol.dps import REPLY_FILTER, encode_reply_topic
from dpsd.protocol.login import DpsLogin, parse_login

KEEP_ALIVE_FACTOR = 1.5
"""A client that is silent for so many times its keep-alive time is gone (MQTT 3.1.1, 3.1.2.10)."""
PACKET_IDS = 65535


class Shared(NamedTuple):
    """What all sessions share. clock: returns seconds since 1970. context: returns the TLS context for an offer."""

    world: World
    faults: Faults
    log: EventLog
    clock: Callable[[], float]
    context: Callable[[Offer], SSL.Context]


class Session:
    """One connection of a client, from its beginning to its end."""

    def __init__(
        self, shared: Shared, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, websocket: bool
    ) -> None:
        self._shared = shared
        self._connection = Connection(reader, writer, websocket=websocket, faults=shared.faults, log=shared.log)
        self._conversation: DpsConversation | HubConversation | None = None
        self._keep_alive = 0
        self._packet_id = 0
        self._disconnected = False

    async def run(self) -> None:
        """Serve the client until either side ends the connection; raises nothing, whatever the client does."""
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
        await self._connection.open(self._shared.context)
        packets = self._connection.packets()
        connect = await self._read_packet(packets, OPENING_SECONDS)
        if not isinstance(connect, Connect):
            raise ProtocolError("the first packet is not CONNECT")
        await self._handle_connect(connect)
        while True:
            await self._handle(await self._read_packet(packets, self._choose_timeout()))

    async def _read_packet(self, packets: AsyncIterator[ClientPacket], seconds: float | None) -> ClientPacket:
        """Return the client's next packet; raises Ended, OSError, TimeoutError and ProtocolError."""
        try:
            return await asyncio.wait_for(packets.__anext__(), seconds)
        except StopAsyncIteration:
            reason = "a newer connection, or the end of the device's identity" if self._disconnected else ""
            raise Ended(reason or "the client closed the connection") from None

    def _choose_timeout(self) -> float | None:
        """Return for how many seconds to wait for a packet, at most until the service's deadline; None: for ever."""
        limits = [KEEP_ALIVE_FACTOR * self._keep_alive] if self._keep_alive else []
        if self._active.deadline is not None:
            limits.append(max(0.0, self._active.deadline - self._shared.clock()))
        return min(limits, default=None)

    def _is_past_deadline(self) -> bool:
        deadline = self._conversation.deadline if self._conversation else None
        return deadline is not None and deadline <= self._shared.clock()

    async def _handle_connect(self, connect: Connect) -> None:
        self._connection.client, self._keep_alive = connect.client_id, connect.keep_alive
        code = self._log_in(connect) if connect.protocol_level == PROTOCOL_LEVEL else UNACCEPTABLE_PROTOCOL
        self._log_connect(connect, code)
        await self._connection.apply_fault("connect")
        present = self._active.session_present if code == ACCEPTED else False
        await self._send(ConnAck(code, present), "connack")
        if code != ACCEPTED:
            raise Ended(f"CONNACK {code}")

    def _log_connect(self, connect: Connect, code: int) -> None:
        credential = "token" if connect.password else "certificate" if self._connection.chain else "none"
        self._connection.log(
            "connect",
            code=code,
            transport=self._connection.transport,
            credential=credential,
            username=connect.username,
            cleanSession=connect.clean_session,
        )

    def _log_in(self, connect: Connect) -> int:
        """Log in to the service that the username names; return the CONNACK code."""
        try:
            login = parse_login(connect.username)
        except ProtocolError:
            return NOT_AUTHORIZED
        credential = Credential(self._connection.chain, connect.password)
        if isinstance(login, DpsLogin):
            self._conversation = DpsConversation(self._shared.world, login, credential)
        else:
            self._conversation = HubConversation(self._shared.world, login, credential, self._disconnect)
        self._connection.service = self._conversation.service
        return self._conversation.connect(connect, self._shared.clock())

    def _disconnect(self) -> None:
        """End the session for the hub: the device has a newer connection, or is no longer registered."""
        # The read that is waiting sees the end of the stream.
        self._disconnected = True
        self._connection.close()

    async def _handle(self, packet: ClientPacket) -> None:
        """Do what a packet after CONNECT asks for; raises Ended at the end of the session, and ProtocolError."""
        if isinstance(packet, Publish):
            await self._handle_publish(packet)
        elif isinstance(packet, Subscribe):
            await self._handle_subscribe(packet)
        elif isinstance(packet, Unsubscribe):
            await self._connection.apply_fault("unsubscribe")
            self._active.unsubscribe(packet.filters)
            await self._send(UnsubAck(packet.packet_id), "unsuback")
        elif isinstance(packet, PingReq):
            await self._connection.apply_fault("ping")
            await self._send(PingResp(), "pingresp")
        elif isinstance(packet, PubAck):
            await self._connection.apply_fault("acknowledge")
        elif isinstance(packet, Disconnect):
            await self._connection.apply_fault("disconnect")
            raise Ended("DISCONNECT", graceful=True)
        else:
            raise ProtocolError("a second CONNECT")

    @property
    def _active(self) -> DpsConversation | HubConversation:
        """The conversation that CONNECT opened."""
        assert self._conversation is not None
        return self._conversation

    async def _send(self, packet: ServerPacket, moment: str) -> None:
        """Send a packet, under the fault that is due at its moment."""
        await self._connection.send(packet, self._connection.take_fault(moment))

    async def _handle_subscribe(self, packet: Subscribe) -> None:
        codes = self._active.subscribe(packet.filters)
        self._connection.log("subscribe", filters=[name for name, _ in packet.filters], codes=codes)
        await self._connection.apply_fault("subscribe")
        if codes is None:
            raise Ended("a subscription that is not allowed here")
        await self._send(SubAck(packet.packet_id, tuple(codes)), "suback")

    async def _handle_publish(self, packet: Publish) -> None:
        """Acknowledge a PUBLISH, then do what the service makes of it; raises Ended and ProtocolError."""
        if packet.qos == 2:
            raise ProtocolError("a PUBLISH at QoS 2")
        moment = self._active.name_moment(packet.topic)
        self._connection.log(moment, topic=packet.topic, bytes=len(packet.body), qos=packet.qos)
        await self._connection.apply_fault(moment)
        actions = self._active.publish(packet.topic, packet.body, packet.retain, self._shared.clock())
        # The PUBACK comes before any reply: one SDK fails on another order.
        if packet.packet_id is not None:
            await self._send(PubAck(packet.packet_id), "puback")
        for action in actions:
            await self._carry_out(action)

    async def _carry_out(self, action: Action) -> None:
        if isinstance(action, SendReply):
            await self._send_reply(action)
        elif isinstance(action, SendMessage):
            self._connection.log(action.moment, topic=action.topic, bytes=len(action.body))
            fault = self._connection.take_fault(action.moment)
            await self._send_publish(action.filter, action.topic, action.body, fault)
        elif isinstance(action, WriteLog):
            self._connection.log(action.event, **action.fields)
        elif isinstance(action, Pause):
            await asyncio.sleep(action.seconds)
        elif isinstance(action, HangUp):
            raise Ended(action.reason)

    async def _send_reply(self, action: SendReply) -> None:
        reply, body = action.reply, action.body
        self._connection.log(action.moment, status=reply.status, retryAfter=reply.retry_after, **action.noted)
        topic, fault = encode_reply_topic(reply), self._connection.take_fault(action.moment)
        if fault and fault.do == "reply":
            topic, body = alter_reply(action, fault.details, format_timestamp(self._shared.clock()))
        await self._send_publish(REPLY_FILTER, topic, body, fault)

    async def _send_publish(self, filter_name: str, topic: str, body: bytes, fault: Fault | None) -> None:
        """Publish at the QoS that was granted; without a subscription nothing is sent."""
        qos = self._active.granted.get(filter_name)
        if qos is None:
            self._connection.log("lost", topic=topic)
            return
        self._packet_id = self._packet_id % PACKET_IDS + 1
        await self._connection.send(Publish(topic, body, qos, self._packet_id if qos else None), fault)

    def _close(self, ended: Ended) -> None:
        self._connection.log("disconnect", reason=str(ended))
        if self._conversation:
            for action in self._conversation.close(ended.graceful, self._shared.clock()):
                self._connection.log(action.event, **action.fields)
        self._connection.close(ended.how)
