"""What a device learns from its exchange with the hub, and how it is read out of what the hub publishes.

A ticket is the number that a request was given.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dpsd.errors import Problem, ProtocolError
from dpsd.protocol.hub.bags import Bag
from dpsd.protocol.hub.messages import CloudMessage, ModuleInput
from dpsd.protocol.hub.methods import MethodCall, parse_payload
from dpsd.protocol.hub.twin import DesiredChange, Twin, TwinReply, parse_section, parse_twin
from dpsd.text import printable


class Ready(NamedTuple):
    """Logged in and subscribed. session_present: the hub has kept the earlier session, whose messages may come before
    this.
    """

    session_present: bool


class Sent(NamedTuple):
    """A message, or an answer to a method, was acknowledged; at QoS 0 it is only on its way."""

    ticket: int


class TwinRead(NamedTuple):
    """The answer to a question for the twin."""

    ticket: int
    twin: Twin


class Reported(NamedTuple):
    """The hub has taken reported properties. version: theirs now, None where it said none."""

    ticket: int
    version: int | None


class Failed(NamedTuple):
    """A request was refused, or not answered in time."""

    ticket: int
    problem: Problem


class CloudMessageArrived(NamedTuple):
    """A cloud-to-device message. receipt: for `acknowledge`, upon which the hub forgets it; None at QoS 0."""

    receipt: int | None
    properties: Bag
    body: bytes


class DesiredChanged(NamedTuple):
    """Desired properties changed; a null deletes. version: theirs now, None where it said none."""

    version: int | None
    patch: dict[str, Any]


class MethodCalled(NamedTuple):
    """A direct method was called, and awaits its `answer`. payload: any JSON value."""

    call: MethodCall
    payload: Any


class StrangeArrived(NamedTuple):
    """Something came that no hub says to a device, or that cannot be read. said: what it is, one line."""

    said: str


Event = (
    Ready | Sent | TwinRead | Reported | Failed | CloudMessageArrived | DesiredChanged | MethodCalled | StrangeArrived
)


def read_delivery(
    delivery: CloudMessage | ModuleInput | DesiredChange | MethodCall, body: bytes, device_id: str
) -> Event:
    """Return what the device is told, without a receipt; raises ProtocolError.

    A message for a module, or for another device, is none for this one.
    """
    if isinstance(delivery, ModuleInput) or (isinstance(delivery, CloudMessage) and delivery.module_id is not None):
        raise ProtocolError(f"a message for the module '{printable(delivery.module_id, 80)}'")
    if isinstance(delivery, CloudMessage):
        if delivery.device_id != device_id:
            raise ProtocolError(f"a message for another device, '{printable(delivery.device_id, 80)}'")
        return CloudMessageArrived(None, delivery.properties, body)
    if isinstance(delivery, DesiredChange):
        change = parse_section(body)
        version = change.version if delivery.version is None else delivery.version
        return DesiredChanged(version, change.properties)
    return MethodCalled(delivery, parse_payload(body))


def read_answer(ticket: int, is_report: bool, reply: TwinReply, body: bytes) -> Event:
    """Return what an answer means for the request with this ticket."""
    if not 200 <= reply.status < 300:
        return Failed(ticket, _make_refusal(reply.status, body))
    if is_report:
        return Reported(ticket, reply.version)
    try:
        return TwinRead(ticket, parse_twin(body))
    except ProtocolError as error:
        return Failed(ticket, Problem("hub-reply-invalid", f"the answer is no twin: {printable(error)}"))


def _make_refusal(status: int, body: bytes) -> Problem:
    said = f"IoT Hub answered {status}" + (f": {printable(body.decode('utf-8', 'replace'))}" if body else "")
    if status == 429:
        return Problem("hub-throttled", said)
    return Problem("hub-bad-request" if 400 <= status < 500 else "hub-unavailable", said)
