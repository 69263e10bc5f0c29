"""What a service asks its connection to do next. Values only."""

from __future__ import annotations

from typing import Any, NamedTuple

from dpsd.protocol.dps import Reply

ACCEPTED = 0
UNACCEPTABLE_PROTOCOL = 1
NOT_AUTHORIZED = 5
"""CONNACK codes of MQTT 3.1.1."""


class Answer(NamedTuple):
    """A DPS reply. moment: its name in the fault list; note: what the event log shows of the body."""

    moment: str
    reply: Reply
    body: bytes
    note: dict[str, Any]


class Message(NamedTuple):
    """A hub's message to the device, for those who subscribed to `filter`."""

    moment: str
    filter: str
    topic: str
    body: bytes


class Event(NamedTuple):
    """A line for the event log."""

    name: str
    fields: dict[str, Any]


class Pause(NamedTuple):
    seconds: float


class HangUp(NamedTuple):
    reason: str


Step = Answer | Message | Event | Pause | HangUp
