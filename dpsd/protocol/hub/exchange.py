"""What a device and its IoT Hub exchange, as a state machine: over any number of connections, one after another.

    OFFLINE --connected--> LOGGING_IN --CONNACK--> SUBSCRIBING --every SUBACK--> READY
       ^                                                                           |
       +--------------------------------- lost ------------------------------------+

The machine knows no socket and no clock. It is told what happened (`connected`, `received`, `lost`, `tick`) and what
the device wants (`send`, `get_twin`, `report`, `answer`, `acknowledge`). What is to be sent it puts into `output`, what
the device should know into `events`. `now` is a monotonic clock, in seconds.

Whatever is asked for is given a ticket, and stays until it is finished: what waits, or was under way when a connection
was lost, is sent on the next one in the same order. So a message may arrive twice, and none is lost. Answers come in
any order, late or never; what nobody awaits changes nothing.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Collection
from typing import Any

from dpsd.errors import Problem, ProtocolError
from dpsd.protocol.hub import events, limits
from dpsd.protocol.hub.bags import Bag
from dpsd.protocol.hub.messages import Telemetry
from dpsd.protocol.hub.methods import MethodAnswer, MethodCall, encode_payload
from dpsd.protocol.hub.requests import ANSWER_LIMIT, Request, Requests
from dpsd.protocol.hub.topics import parse_delivery_topic
from dpsd.protocol.hub.twin import Section, TwinGet, TwinPatch, TwinReply, encode_section
from dpsd.protocol.hub.wishes import Wish, filters
from dpsd.protocol.mqtt.link import PING_LIMIT, Link
from dpsd.protocol.mqtt.packets import FAILURE, ConnAck, Connect, PubAck, Publish, ServerPacket, SubAck
from dpsd.protocol.retry import choose_delay
from dpsd.text import printable

STABLE_AFTER = 60
"""Seconds after which a connection was a good one. Two clients with one device id end each other's connections, and
would do so without a pause if each login were a success.
"""
ROOM = 64
"""Requests under way, from which on `has_room` says no, so that a long input need not be in memory."""
_ROOM_BYTES = 1 << 20
_UNAVAILABLE = 3
"""CONNACK's code for a server that cannot now."""


class State(enum.Enum):
    """How far the exchange with the hub has come on its present connection."""

    OFFLINE = "offline"
    LOGGING_IN = "logging in"
    SUBSCRIBING = "subscribing"
    READY = "ready"


class Exchange:
    """device_id: the device's own. wish: what it wants to hear. request_token: random text that makes this exchange's
    request ids its own. peer: who is at the other end, for sentences.

    Raises Problem `hub-modules` for a module's name.
    """

    def __init__(self, device_id: str, wish: Wish, request_token: str, peer: str) -> None:
        if "/" in device_id:
            raise Problem("hub-modules", f"'{printable(device_id)}' names a module, not a device")
        self.state = State.OFFLINE
        self.events: deque[events.Event] = deque()
        self._device_id, self._wish, self._token, self._peer = device_id, wish, request_token, peer
        self._requests = Requests()
        self._link: Link | None = None
        self._questions = 0
        self._unsubscribed: dict[int, str] = {}
        self._receipts: dict[int, int] = {}
        self._received = 0
        self._failures = 0
        self._session_present = False
        self._moment = 0.0
        """When the login has to be done by; once it is done, when that was."""

    # What the connection does

    def connected(self, connect: Connect, now: float) -> None:
        """A stream stands: log in."""
        if self.state is not State.OFFLINE:
            raise AssertionError(f"the exchange is {self.state.value}, not offline")
        self._link = Link(connect, now)
        self._go(State.LOGGING_IN, now + ANSWER_LIMIT)

    def received(self, data: bytes, now: float) -> None:
        """Take bytes; raises Problem `hub-*`, after which the connection has to be given up, and `lost` be called."""
        assert self._link is not None
        try:
            for packet in self._link.receive(data):
                self._take(packet, self._link, now)
        except ProtocolError as error:
            raise Problem("hub-reply-invalid", f"{self._peer} sent {error}") from None

    def lost(self, problem: Problem, now: float, fraction: float) -> float | None:
        """The connection is gone, or none came about. fraction: uniform in [0, 1).

        Returns the seconds until the next one, by the policy of `dpsd.protocol.retry`; None for never.
        """
        if self.state is State.READY and now >= self._moment + STABLE_AFTER:
            self._failures = 0
        self._failures += 1
        self._link = None
        self._receipts.clear()
        self._unsubscribed.clear()
        self._requests.lose()
        self._go(State.OFFLINE, now)
        return choose_delay(problem, self._failures, fraction)

    def next_tick(self) -> float | None:
        """Return the moment at which `tick` is due, None for never."""
        if self._link is None:
            return None
        login = None if self.state is State.READY else self._moment
        due = (login, self._link.next_tick(), self._requests.next_deadline())
        return min((moment for moment in due if moment is not None), default=None)

    def tick(self, now: float) -> None:
        """Ping, and give up what is overdue; raises Problem as `received` does."""
        if self._link is None:
            return
        if self.state is not State.READY and now >= self._moment:
            raise Problem("hub-no-answer", f"{self._peer} has not answered within {ANSWER_LIMIT} s of the login")
        if not self._link.tick(now):
            raise Problem("connection-lost", f"{self._peer} has not answered a ping within {PING_LIMIT} s")
        for ticket, request in self._requests.overdue(now):
            what = "acknowledged" if request.request_id is None else "answered"
            said = f"{self._peer} has not {what} {printable(request.topic, 80)} within {ANSWER_LIMIT} s"
            self._finish(ticket, events.Failed(ticket, Problem("hub-no-answer", said)))

    @property
    def output(self) -> bytearray:
        """What is to be sent; whoever sends it takes it out."""
        return bytearray() if self._link is None else self._link.output

    def close(self, now: float) -> None:
        """Say goodbye, so that no Will is published."""
        if self._link is not None:
            self._link.disconnect(now)

    # What the device wants

    def send(self, properties: Bag, body: bytes, now: float, qos: int = 1) -> int:
        """Send a device-to-cloud message, and return the ticket; `Sent` or `Failed` follows.

        Raises Problem `hub-message-invalid`.
        """
        limits.check_bag(properties)
        limits.check_message(body)
        return self._request(Request(Telemetry(self._device_id, None, properties).encode(), body, qos), now)

    def get_twin(self, now: float) -> int:
        """Ask for the twin, and return the ticket; `TwinRead` or `Failed` follows."""
        request_id = self._next_request_id()
        return self._request(Request(TwinGet(request_id).encode(), b"", 1, request_id), now)

    def report(self, patch: dict[str, Any], now: float) -> int:
        """Change reported properties, null deleting, and return the ticket; `Reported` or `Failed` follows.

        Raises Problem `hub-message-invalid`.
        """
        limits.check_patch(patch)
        request_id, body = self._next_request_id(), encode_section(Section(patch, None))
        return self._request(Request(TwinPatch(request_id).encode(), body, 1, request_id, is_report=True), now)

    def answer(self, call: MethodCall, status: int, payload: Any, now: float) -> int:
        """Answer a direct method, and return the ticket; `Sent` or `Failed` follows.

        Raises Problem `hub-message-invalid`.
        """
        try:
            body = encode_payload(payload)
        except ValueError:
            raise Problem("hub-message-invalid", "the answer to a method is no JSON value") from None
        limits.check_method_answer(status, body)
        return self._request(Request(MethodAnswer(status, call.request_id).encode(), body, 1), now)

    def acknowledge(self, receipt: int, now: float) -> None:
        """Let the hub forget a cloud-to-device message; one of an earlier connection it will send again."""
        packet_id = self._receipts.pop(receipt, None)
        if packet_id is not None and self._link is not None:
            self._link.acknowledge(packet_id, now)

    @property
    def unfinished(self) -> Collection[int]:
        """The tickets of what was not acknowledged or answered yet."""
        return self._requests.tickets

    @property
    def has_room(self) -> bool:
        """Tell whether more may be sent now."""
        return len(self.unfinished) < ROOM and len(self.output) < _ROOM_BYTES

    # Packets

    def _take(self, packet: ServerPacket, link: Link, now: float) -> None:
        if isinstance(packet, ConnAck):
            self._log_in(packet, link, now)
        elif isinstance(packet, SubAck):
            self._note_subscription(packet, link, now)
        elif isinstance(packet, PubAck):
            ticket = self._requests.acknowledge(packet.packet_id)
            if ticket is not None:
                self._finish(ticket, events.Sent(ticket))
        elif isinstance(packet, Publish):
            self._deliver(packet, link, now)

    def _log_in(self, packet: ConnAck, link: Link, now: float) -> None:
        if packet.code:
            code = "hub-unavailable" if packet.code == _UNAVAILABLE else "hub-refused"
            raise Problem(code, f"{self._peer} refused the MQTT connection with return code {packet.code}")
        self._session_present = packet.session_present
        self._go(State.SUBSCRIBING, self._moment)
        for topic_filter in filters(self._wish, self._device_id):
            packet_id = self._requests.next_packet_id()
            self._unsubscribed[packet_id] = topic_filter
            link.subscribe(packet_id, topic_filter, now)
        self._become_ready(link, now)

    def _note_subscription(self, packet: SubAck, link: Link, now: float) -> None:
        topic_filter = self._unsubscribed.pop(packet.packet_id, None)
        if topic_filter is not None and FAILURE in packet.codes:
            raise Problem("hub-bad-request", f"{self._peer} refused to subscribe {printable(topic_filter)}")
        self._become_ready(link, now)

    def _become_ready(self, link: Link, now: float) -> None:
        if self.state is not State.SUBSCRIBING or self._unsubscribed:
            return
        self._go(State.READY, now)
        self.events.append(events.Ready(self._session_present))
        for ticket in list(self.unfinished):
            self._publish(ticket, link, now)

    def _deliver(self, packet: Publish, link: Link, now: float) -> None:
        """Read a message, and acknowledge it unless that is the device's to do."""
        try:
            delivery = parse_delivery_topic(packet.topic)
            if isinstance(delivery, TwinReply):
                self._take_answer(delivery, packet.body)
            else:
                told = events.read_delivery(delivery, packet.body, self._device_id)
                if isinstance(told, events.CloudMessageArrived):
                    self.events.append(told._replace(receipt=self._new_receipt(packet.packet_id)))
                    return
                self.events.append(told)
        except ProtocolError as error:
            self.events.append(events.StrangeArrived(printable(error)))
        if packet.packet_id is not None:
            link.acknowledge(packet.packet_id, now)

    def _take_answer(self, reply: TwinReply, body: bytes) -> None:
        """Finish the request that is answered, if it is still awaited."""
        if found := self._requests.find(reply.request_id):
            ticket, request = found
            self._finish(ticket, events.read_answer(ticket, request.is_report, reply, body))

    # Requests

    def _request(self, request: Request, now: float) -> int:
        assert request.request_id is None or Wish.TWIN in self._wish, "nobody would hear the answer"
        limits.check_topic(request.topic)
        ticket = self._requests.add(request)
        if self.state is State.READY and self._link is not None:
            self._publish(ticket, self._link, now)
        return ticket

    def _publish(self, ticket: int, link: Link, now: float) -> None:
        if self._requests.publish(ticket, link, self._session_present, now):
            self._finish(ticket, events.Sent(ticket))

    def _finish(self, ticket: int, event: events.Event) -> None:
        self._requests.finish(ticket)
        self.events.append(event)

    def _next_request_id(self) -> str:
        self._questions += 1
        return f"{self._token}-{self._questions}"

    def _new_receipt(self, packet_id: int | None) -> int | None:
        if packet_id is None:
            return None
        self._received += 1
        self._receipts[self._received] = packet_id
        return self._received

    def _go(self, state: State, moment: float) -> None:
        self.state, self._moment = state, moment
