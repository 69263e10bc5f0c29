"""The conversation with DPS: a device in, its assignment out. what is said is `protocol.registration`'s."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import NamedTuple

from dpsd import __version__
from dpsd.credentials.credential import Signer
from dpsd.errors import Problem
from dpsd.network.connecting import Login, make_password, open_session, try_each_key
from dpsd.network.mqtt import Session
from dpsd.protocol import sas
from dpsd.protocol.assignment import Assignment, check_hub_allowed
from dpsd.protocol.login import DpsLogin
from dpsd.protocol.registration import Finish, Ignore, Publish, Registration, StartOver, Wait
from dpsd.provisioning.device import Device
from dpsd.state.messages import Carry, Event
from dpsd.system.clock import clock_offset, wall_clock, was_clock_set
from dpsd.system.deadline import Report, step

TIME_LIMIT = 180
"""Seconds for polling; with the steps around it this ends before the supervisor would end the attempt."""
TOKEN_LIFETIME = 3600
"""Seconds that a SAS token is valid, as in Microsoft's SDK for Python."""
REFUSALS = ("dps-unauthorized", "mqtt-unauthorized")
"""Problems of a key that DPS does not take."""


class RegistrationResult(NamedTuple):
    """transport: that DPS was reached by. secondary: of two symmetric keys, DPS took the secondary one."""

    assignment: Assignment
    transport: str
    secondary: bool


class _Noted:
    """Passes events on, and keeps what the last one said of the next conversation."""

    def __init__(self, carry: Carry, report: Report) -> None:
        self.carry = carry
        self._report = report

    def __call__(self, event: Event) -> None:
        if isinstance(event, Carry):
            self.carry = event
        self._report(event)


def register(device: Device, carry: Carry, report: Report) -> RegistrationResult:
    """Register with the credential, and once with the secondary key when DPS does not take the primary one.

    Raises Problem.
    """
    if device.credential.x509 is not None:
        device.credential.x509.leaf.check_dates(wall_clock())
    converse = partial(_converse, device, _Noted(carry, report))
    (assignment, transport), secondary = try_each_key(device.credential, REFUSALS, report, converse)
    return RegistrationResult(assignment, transport, secondary)


def _converse(device: Device, report: _Noted, key: Signer | None) -> tuple[Assignment, str]:
    """Return the assignment, and the transport that worked."""
    binding, config, carry = device.binding, device.config, report.carry
    machine = Registration(binding.registration_id, device.payload, os.urandom(8).hex(), carry.operation_id)
    username = DpsLogin(binding.id_scope, binding.registration_id, config.dps.api_version, f"dpsd/{__version__}")
    resource = sas.make_dps_resource(binding.id_scope, binding.registration_id)
    token = make_password(key, resource, TOKEN_LIFETIME, sas.DPS_KEY_NAME)
    login = Login(binding.registration_id, username.encode(), token)
    endpoint, transport, assignment = config.dps.global_endpoint, carry.transport, None
    deadline = time.monotonic() + TIME_LIMIT
    while assignment is None:
        session = open_session(endpoint, config.network, device.credential, login, report, transport)
        try:
            if session.transport != transport:
                report(carry._replace(transport=session.transport))
            assignment = _drive(session, machine, report, deadline)
        finally:
            session.close()
        transport = session.transport
    check_hub_allowed(assignment.hub, config.hub.allow)
    return assignment, session.transport


def _drive(session: Session, machine: Registration, report: Report, deadline: float) -> Assignment | None:
    """Do what the machine says until the device is assigned, or the attempt's time is over.

    deadline: by the monotonic clock. Returns None if the machine has to start over on another connection.
    """
    offset = clock_offset()
    with step("subscribing to the answers of DPS", report):
        session.subscribe(machine.start().topic_filter)
    action: Publish | Wait | Ignore | StartOver | Finish = machine.subscribed()
    while not isinstance(action, Finish):
        if isinstance(action, StartOver):
            return None
        if was_clock_set(offset):
            raise Problem("clock-changed", "the clock was set during the attempt")
        if isinstance(action, Wait):
            _check_time(deadline, action.seconds)
            with step(f"DPS is assigning an IoT Hub, asking again in {action.seconds} s", report, action.seconds):
                session.idle(action.seconds)
            action = machine.waited()
        elif isinstance(action, Publish):
            doing = "asking for the assignment" if machine.operation_id else f"registering with {session.endpoint}"
            with step(doing, report):
                session.publish(action.topic, action.body)
                action = _answer(session, machine, report)
    return action.assignment


def _check_time(deadline: float, seconds: float) -> None:
    if time.monotonic() + seconds > deadline:
        raise Problem("attempt-deadline", f"DPS has not assigned an IoT Hub within {TIME_LIMIT} s")


def _answer(session: Session, machine: Registration, report: Report) -> Publish | Wait | StartOver | Finish:
    known = machine.operation_id
    try:
        while True:
            action = machine.received(*session.receive())
            if not isinstance(action, Ignore):
                return action
    finally:
        if machine.operation_id != known:
            report(Carry(machine.operation_id, transport=session.transport))
