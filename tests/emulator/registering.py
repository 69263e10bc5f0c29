"""What socket tests do again and again: log in to DPS or a hub as a ready-made device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.emulator.device import TIMEOUT, Device, token
from tests.emulator_process import EmulatorProcess

REPLIES = "$dps/registrations/res/#"
REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=r1"
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=r2&operationId="


def password(
    emulator: EmulatorProcess, name: str, resource: str, slot: str = "primary", seconds: float = 600
) -> str | None:
    """Return a SAS token under one of the device's keys; None for a device with a certificate."""
    if name.startswith("x509"):
        return None
    return token(resource, (emulator.device(name) / f"{slot}.key").read_text().strip(), int(time.time() + seconds))


def open_device(
    emulator: EmulatorProcess,
    name: str,
    address: str | None = None,
    *,
    timeout: float = TIMEOUT,
    ragged: bool = False,
) -> Device:
    """Open TLS, with the certificate of a device that has one."""
    credential = emulator.device(name) if name.startswith("x509") else None
    return Device(address or emulator.address, emulator.port, emulator.ca, credential, timeout=timeout, ragged=ragged)


@contextmanager
def at_dps(emulator: EmulatorProcess, name: str, *, subscribed: bool = True) -> Iterator[Device]:
    """Log in to DPS."""
    with open_device(emulator, name) as device:
        secret = password(emulator, name, f"{emulator.id_scope}/registrations/{name}")
        username = f"{emulator.id_scope}/registrations/{name}/api-version=2019-03-31"
        assert device.connect(name, username, secret) == 0
        if subscribed:
            assert device.subscribe(REPLIES) == 1
        yield device


def register(emulator: EmulatorProcess, name: str) -> dict[str, Any]:
    """Register and return the registrationState; polls without waiting."""
    with at_dps(emulator, name) as device:
        _, body = device.request(REGISTER)
        while body["status"] == "assigning":
            _, body = device.request(POLL + body["operationId"])
        state: dict[str, Any] = body["registrationState"]
        return state


def log_in_to_hub(
    emulator: EmulatorProcess, device: Device, name: str, hub: str, slot: str = "primary", **options: Any
) -> int:
    """Send CONNECT to the hub and return the CONNACK code."""
    secret = password(emulator, name, f"{hub}/devices/{name}", slot)
    return device.connect(name, f"{hub}/{name}/?api-version=2021-04-12", secret, **options)
