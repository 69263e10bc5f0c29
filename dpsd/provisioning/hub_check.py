"""Whether the assigned IoT Hub lets the device in: one connection, nothing sent."""

from __future__ import annotations

import time
from functools import partial

from dpsd.credentials.credential import Signer
from dpsd.errors import Problem
from dpsd.network.connecting import Login, make_password, open_session, try_each_key
from dpsd.protocol import sas
from dpsd.protocol.identifiers import DPS_PORT, Endpoint
from dpsd.provisioning.device import Device
from dpsd.state.connection import Connection
from dpsd.state.messages import Step
from dpsd.system.deadline import Report

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
    log_in = partial(_log_in_with, device, connection, report)
    transport, _ = try_each_key(device.credential, ("hub-refused",), report, log_in)
    return transport


def _log_in_with(device: Device, connection: Connection, report: Report, key: Signer | None) -> str:
    mqtt = connection.mqtt
    token = make_password(key, sas.make_hub_resource(connection.iothub_hostname, connection.device_id), TOKEN_LIFETIME)
    login = Login(mqtt.client_id, mqtt.username, token)
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
