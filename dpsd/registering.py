"""The conversation with DPS: a device in, its assignment out. Floor 3; what is said is `protocol.registration`'s."""

from __future__ import annotations

import os
import time

from dpsd import __version__
from dpsd.clock import clock_offset, wall_clock, was_set
from dpsd.connecting import Login, open_session
from dpsd.credentials.credential import Signer
from dpsd.device import Device
from dpsd.errors import Problem
from dpsd.mqtt import Session
from dpsd.progress import Carry, Noted, Step
from dpsd.protocol import sas
from dpsd.protocol.assignment import Assignment, check_allowed
from dpsd.protocol.login import DpsLogin
from dpsd.protocol.registration import Finish, Ignore, Publish, Registration, Wait
from dpsd.record import Binding
from dpsd.steps import Report, step

TIME_LIMIT = 180
"""Seconds for polling; with the steps around it this ends before the supervisor would end the attempt."""
TOKEN_LIFETIME = 3600
"""Seconds that a SAS token is valid, as in Microsoft's SDK for Python."""


def register(device: Device, carry: Carry, report: Report) -> tuple[Assignment, bool]:
    """Register with the credential, and once with the secondary key when DPS does not take the primary one.

    Return the assignment, and whether it was the secondary key. Raises Problem.
    """
    if device.credential.x509 is not None:
        device.credential.x509.leaf.check_dates(wall_clock())
    keys: tuple[Signer | None, ...] = device.credential.keys or (None,)
    noted = Noted(carry, report)
    for key in keys[:-1]:
        try:
            return _converse(device, key, noted.carry, noted), False
        except Problem as problem:
            if problem.code not in ("dps-unauthorized", "mqtt-unauthorized"):
                raise
            report(Step("the primary key is not accepted, trying the secondary key"))
    return _converse(device, keys[-1], noted.carry, noted), len(keys) > 1


def _converse(device: Device, key: Signer | None, carry: Carry, report: Report) -> Assignment:
    binding, config = device.binding, device.config
    machine = Registration(binding.registration_id, device.payload, os.urandom(8).hex(), carry.operation_id)
    username = DpsLogin(binding.id_scope, binding.registration_id, config.dps.api_version, f"dpsd/{__version__}")
    login = Login(binding.registration_id, username.encode(), _password(binding, key))
    endpoint, transport = config.dps.global_endpoint, carry.transport
    session = open_session(endpoint, config.network, device.credential, login, report, transport)
    try:
        if session.transport != transport:
            report(carry._replace(transport=session.transport))
        assignment = _drive(session, machine, report)
    finally:
        session.close()
    check_allowed(assignment.hub, config.hub.allow)
    return assignment


def _password(binding: Binding, key: Signer | None) -> str | None:
    if key is None:
        return None
    resource = sas.dps_resource(binding.id_scope, binding.registration_id)
    return sas.encode_token(resource, int(wall_clock()) + TOKEN_LIFETIME, key.sign, sas.DPS_KEY_NAME)


def _drive(session: Session, machine: Registration, report: Report) -> Assignment:
    """Do what the machine says until the device is assigned, or the attempt's time is over."""
    deadline, offset = time.monotonic() + TIME_LIMIT, clock_offset()
    with step("subscribing to the answers of DPS", report):
        session.subscribe(machine.start().topic_filter)
    action: Publish | Wait | Ignore | Finish = machine.subscribed()
    while not isinstance(action, Finish):
        if was_set(offset):
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


def _answer(session: Session, machine: Registration, report: Report) -> Publish | Wait | Finish:
    known = machine.operation_id
    try:
        while True:
            action = machine.received(*session.receive())
            if not isinstance(action, Ignore):
                return action
    finally:
        if machine.operation_id != known:
            report(Carry(machine.operation_id, transport=session.transport))
