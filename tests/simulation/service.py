"""A Device Provisioning Service as a fleet feels it: its limits, its retry-after, its outages.

Source of the numbers: Microsoft's "DPS service limits" page (1,000 registrations and 1,000 other operations a minute,
each on its own; 5 polls of a device in 10 s) and recorded sessions (retry-after=3). What a 429 carries was never
recorded; 3 is what all other replies carried, errors too. Nothing here costs the service anything: 100,000 devices
may knock in one second, and it still answers each.
"""

from __future__ import annotations

from typing import NamedTuple

from dpsd.protocol import dps
from dpsd.shape import Table
from tests.simulation.limits import LIMITS
from tests.simulation.tally import Tally

CALLS = 1000
"""A minute: registrations, and other operations."""
POLLS, POLL_SECONDS = 5, 10
"""Of one device."""
POLL_AFTER = 3
"""Seconds that a 202 asks for."""
_THROTTLED = dps.encode_error_body(dps.ErrorBody(429001, "", ""), "2026-01-10T21:39:05.1573304Z")
"""Without the words for people: to show them takes a device longer than all the rest."""


class Conditions(NamedTuple):
    """limit: a name of LIMITS. retry_after: of a 429: `none`, seconds, or `next`, until a call may get through.

    polls: until a device is assigned. outage: seconds from and to which nothing answers. lost: the share of replies
    that never arrive.
    """

    limit: str = "window"
    retry_after: str = "3"
    polls: int = 1
    outage: tuple[float, float] = (0, 0)
    lost: float = 0

    def is_down(self, now: float) -> bool:
        return self.outage[0] <= now < self.outage[1]


class Service:
    """tally: where it counts what arrives."""

    def __init__(self, conditions: Conditions, tally: Tally) -> None:
        self._conditions = conditions
        self._tally = tally
        self._registrations = LIMITS[conditions.limit](CALLS)
        self._operations = LIMITS[conditions.limit](CALLS)
        self._polled: dict[str, list[float]] = {}

    def is_full(self, now: float) -> bool:
        """Tell whether a register request would get 429."""
        return self._registrations.left(now) < 1

    def register(self, now: float, devices: int = 1) -> int:
        """Return how many of these register requests are accepted; the others get 429."""
        return self._count(now, devices, self._registrations.take(now, devices))

    def poll(self, now: float, devices: int = 1) -> int:
        """Return how many of these polls are answered; the others get 429."""
        return self._count(now, devices, self._operations.take(now, devices))

    def _count(self, now: float, wanted: int, taken: int) -> int:
        self._tally.requests[int(now)] += wanted
        self._tally.refused += wanted - taken
        return taken

    def retry_after(self, now: float) -> int | None:
        """Return what a 429 carries."""
        told = self._conditions.retry_after
        if told == "next":
            return self._registrations.seconds_to_next(now)
        return None if told == "none" else int(told)

    def answer(self, name: str, topic: str, now: float) -> tuple[str, bytes]:
        """Answer a device's request as it stands on the wire; return the topic and body of the reply."""
        request = dps.parse_request_topic(topic)
        if isinstance(request, dps.Register):
            return self._answer_register(name, request, now)
        return self._answer_poll(name, request, now)

    def _answer_register(self, name: str, request: dps.Register, now: float) -> tuple[str, bytes]:
        if not self.register(now):
            return self._refuse(request.request_id, now)
        return _assigning(request.request_id, f"5.{name}.{now}")

    def _answer_poll(self, name: str, request: dps.Poll, now: float) -> tuple[str, bytes]:
        times = self._polled.setdefault(request.operation_id, [])
        too_often = sum(time > now - POLL_SECONDS for time in times) >= POLLS
        if not (self._count(now, 1, 0) if too_often else self.poll(now)):
            return self._refuse(request.request_id, now)
        times.append(now)
        if len(times) < self._conditions.polls:
            return _assigning(request.request_id, request.operation_id)
        return _assigned(request, name)

    def _refuse(self, request_id: str, now: float) -> tuple[str, bytes]:
        return dps.encode_reply_topic(dps.Reply(429, request_id, self.retry_after(now))), _THROTTLED


def _assigning(request_id: str, operation_id: str) -> tuple[str, bytes]:
    body = dps.encode_operation(dps.Operation(operation_id, "assigning", Table({})))
    return dps.encode_reply_topic(dps.Reply(202, request_id, POLL_AFTER)), body


def _assigned(request: dps.Poll, name: str) -> tuple[str, bytes]:
    state = {"registrationId": name, "assignedHub": "hub.azure-devices.net", "deviceId": name, "status": "assigned"}
    state |= {"substatus": "initialAssignment", "createdDateTimeUtc": "2026-01-10T21:52:50.5898405Z"}
    body = dps.encode_operation(dps.Operation(request.operation_id, "assigned", Table(state)))
    return dps.encode_reply_topic(dps.Reply(200, request.request_id)), body
