"""Whether the assigned IoT Hub lets the device in: one connection, nothing sent. Floor 3."""

from __future__ import annotations

import time

from dpsd.clock import wall_clock
from dpsd.connecting import Login, open_session
from dpsd.connection import Connection
from dpsd.credentials.credential import Signer
from dpsd.device import Device
from dpsd.errors import Problem
from dpsd.progress import Step
from dpsd.protocol import sas
from dpsd.protocol.identifiers import DPS_PORT, Endpoint
from dpsd.steps import Report

TOKEN_LIFETIME = 300
"""Seconds; the token is used once, at once."""
PAUSES = (1, 2, 4)
"""Seconds before another try: a hub may learn of a new device a moment after DPS assigned it."""
_NAMES = {"mqtt-unauthorized": "hub-refused", "mqtt-rejected": "hub-refused", "mqtt-unavailable": "hub-unavailable"}


def check_hub(device: Device, connection: Connection, report: Report) -> str:
    """Log in at the hub and leave again; return the transport, the recorded one where the configuration leaves it open.

    It takes the place of a running agent, since a hub allows one connection for each device: so only after a
    registration. Raises Problem `hub-refused`, `hub-unavailable`, or one of the network.
    """
    for pause in PAUSES:
        try:
            return _log_in(device, connection, report)
        except Problem as problem:
            if problem.code != "hub-refused":
                raise
        report(Step(f"{connection.iothub_hostname} does not let the device in yet, trying again in {pause} s"))
        time.sleep(pause)
    return _log_in(device, connection, report)


def _log_in(device: Device, connection: Connection, report: Report) -> str:
    """Log in with the certificate, or with one of the keys."""
    keys: tuple[Signer | None, ...] = device.credential.keys or (None,)
    for key in keys[:-1]:
        try:
            return _log_in_with(key, device, connection, report)
        except Problem as problem:
            if problem.code != "hub-refused":
                raise
    return _log_in_with(keys[-1], device, connection, report)


def _log_in_with(key: Signer | None, device: Device, connection: Connection, report: Report) -> str:
    mqtt = connection.mqtt
    login = Login(mqtt.client_id, mqtt.username, _password(key, connection))
    try:
        endpoint, network = Endpoint(mqtt.host, DPS_PORT), device.config.network
        session = open_session(endpoint, network, device.credential, login, report, mqtt.transport)
        session.close()
    except Problem as problem:
        code = _NAMES.get(problem.code)
        if code is None:
            raise
        raise Problem(code, problem.sentence) from None
    return session.transport


def _password(key: Signer | None, connection: Connection) -> str | None:
    if key is None:
        return None
    resource = sas.hub_resource(connection.iothub_hostname, connection.device_id)
    return sas.encode_token(resource, int(wall_clock()) + TOKEN_LIFETIME, key.sign)
