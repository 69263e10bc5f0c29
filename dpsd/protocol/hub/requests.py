"""What a device has asked of its hub and what is not finished yet, in the order in which it was asked.

A request is finished by an acknowledgement (a message, an answer to a method) or by an answer (a question about the
twin), or it fails when neither comes in time. What a connection leaves unfinished is sent again on the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from dpsd.protocol.mqtt.packets import Publish

if TYPE_CHECKING:
    from dpsd.protocol.mqtt.link import Link

ANSWER_LIMIT = 30
"""Seconds for an acknowledgement or an answer on a connection that stands."""
_PACKET_IDS = 0xFFFF


class Request:
    """A topic and body that are to be published. request_id: that an answer is awaited for, None where none comes.

    is_report: whether it changes reported properties.
    """

    def __init__(
        self, topic: str, body: bytes, qos: int, request_id: str | None = None, is_report: bool = False
    ) -> None:
        self.topic, self.body, self.qos = topic, body, qos
        self.request_id, self.is_report = request_id, is_report
        self.packet_id: int | None = None
        """That an acknowledgement is awaited for."""
        self.deadline: float | None = None
        """By when it has to be finished, None while it is not sent."""


class Requests:
    def __init__(self) -> None:
        self._requests: dict[int, Request] = {}
        self._tickets = 0
        self._last_packet_id = 0
        self._given_up: set[int] = set()

    @property
    def tickets(self) -> Collection[int]:
        return self._requests.keys()

    def add(self, request: Request) -> int:
        """Keep a request and return its ticket."""
        self._tickets += 1
        self._requests[self._tickets] = request
        return self._tickets

    def publish(self, ticket: int, link: Link, session_present: bool, now: float) -> bool:
        """Publish a request, for the first time or again; return whether that is all, as it is at QoS 0.

        It is a duplicate, by the same packet id, only to a server that remembers the session (MQTT 3.1.1, 4.4).
        """
        request, again = self._requests[ticket], False
        if request.qos:
            again = session_present and request.packet_id is not None
            request.packet_id = request.packet_id or self.next_packet_id()
            request.deadline = now + ANSWER_LIMIT
        link.publish(Publish(request.topic, request.body, request.packet_id, again), now)
        return not request.qos

    def acknowledge(self, packet_id: int) -> int | None:
        """Take a PUBACK; return the ticket that it finishes, if one."""
        for ticket, request in self._requests.items():
            if request.packet_id == packet_id:
                request.packet_id = None
                return ticket if request.request_id is None else None
        return None

    def find(self, request_id: str) -> tuple[int, Request] | None:
        """Return what awaits the answer with this `$rid`, if anything does."""
        found = ((ticket, one) for ticket, one in self._requests.items() if one.request_id == request_id)
        return next(found, None)

    def finish(self, ticket: int) -> None:
        """Forget a request. Its packet id rests while the connection stands: a late PUBACK must not mean another."""
        request = self._requests.pop(ticket)
        if request.packet_id is not None:
            self._given_up.add(request.packet_id)

    def lose(self) -> None:
        """The connection is gone: nothing is awaited until it is sent again."""
        self._given_up.clear()
        for request in self._requests.values():
            request.deadline = None

    def next_deadline(self) -> float | None:
        return min((one.deadline for one in self._requests.values() if one.deadline is not None), default=None)

    def overdue(self, now: float) -> Iterator[tuple[int, Request]]:
        """Yield what was not finished in time."""
        for ticket, request in list(self._requests.items()):
            if request.deadline is not None and now >= request.deadline:
                yield ticket, request

    def next_packet_id(self) -> int:
        """Return an id that no packet under way has; at most some thousand are."""
        taken = {one.packet_id for one in self._requests.values()} | self._given_up
        while True:
            self._last_packet_id = self._last_packet_id % _PACKET_IDS + 1
            if self._last_packet_id not in taken:
                return self._last_packet_id
