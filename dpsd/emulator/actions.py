"""What a service wants its connection to do next, as values. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from dpsd.protocol.dps import Reply


class SendReply(NamedTuple):
    """Send a reply of DPS. moment: its name for faults and in the log; noted: what the log shows of the body."""

    moment: str
    reply: Reply
    body: bytes
    noted: dict[str, Any]


class SendMessage(NamedTuple):
    """Send a message of a hub, if the device has subscribed to `filter`. moment: its name for faults and in the log."""

    moment: str
    filter: str
    topic: str
    body: bytes


class WriteLog(NamedTuple):
    """Write a line to the event log."""

    event: str
    fields: dict[str, Any]


class Pause(NamedTuple):
    """Do nothing for some seconds."""

    seconds: float


class HangUp(NamedTuple):
    """End the connection. reason: for the log."""

    reason: str


Action = SendReply | SendMessage | WriteLog | Pause | HangUp
