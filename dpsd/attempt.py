"""One attempt: configuration and credential in, a record out. Floor 3.

The steps, in the order of the house's one line: load the configuration, open the credential, see whether the earlier
assignment is bound to just these, and if not (or when forced) register with DPS. Nothing is written to disk here.
"""

from __future__ import annotations

from dpsd.connection import Connection, Mqtt
from dpsd.device import Device, open_device
from dpsd.errors import Problem
from dpsd.places import Places
from dpsd.progress import Carry, Done
from dpsd.protocol.assignment import Assignment, check_allowed
from dpsd.protocol.identifiers import DPS_PORT
from dpsd.protocol.login import HubLogin
from dpsd.record import Record
from dpsd.registering import register
from dpsd.steps import Report


def attempt(places: Places, previous: Record | None, *, force: bool, carry: Carry, report: Report) -> Done:
    """Make one attempt.

    previous: the earlier record, kept if its binding is the same and `force` is not set. carry: what an earlier attempt
    found out. Raises Problem.
    """
    device = open_device(places, report)
    if previous is not None and not force and _still_holds(previous, device):
        return Done(_record(device, _recorded_assignment(previous)), registered=False)
    assignment = register(device, carry, report)
    if previous is not None and _same(previous, assignment):
        assignment = _recorded_assignment(previous)
    return Done(_record(device, assignment), registered=True)


def _still_holds(previous: Record, device: Device) -> bool:
    try:
        check_allowed(previous.connection.iothub_hostname, device.config.hub.allow)
    except Problem:
        return False
    return previous.binding == device.binding


def _same(previous: Record, assignment: Assignment) -> bool:
    before = _recorded_assignment(previous)
    return (before.hub, before.device_id, before.payload) == (assignment.hub, assignment.device_id, assignment.payload)


def _recorded_assignment(record: Record) -> Assignment:
    known = record.connection
    return Assignment(
        known.iothub_hostname, known.device_id, known.substatus, known.assigned_at, known.etag, record.payload
    )


def _record(device: Device, assignment: Assignment) -> Record:
    login = HubLogin(assignment.hub, assignment.device_id)
    network = device.config.network
    connection = Connection(
        iothub_hostname=assignment.hub,
        device_id=assignment.device_id,
        registration_id=device.binding.registration_id,
        id_scope=device.binding.id_scope,
        authentication=device.credential.authentication,
        mqtt=Mqtt(assignment.hub, DPS_PORT, "mqtt", login.client_id(), login.encode(), network.trusted_roots, None),
        substatus=assignment.substatus,
        assigned_at=assignment.assigned_at,
        etag=assignment.etag,
    )
    environment = device.config.outputs.environment
    return Record(device.binding, device.inputs, connection, assignment.payload, environment)
