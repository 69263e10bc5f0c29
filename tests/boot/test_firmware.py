"""A device whose firmware signs, by a stand-in for its command that only the root service can use."""

from __future__ import annotations

import json

import pytest

from tests.boot.lab import Device, Emulator, Layers, put
from tests.processes.firmware import STAND_IN
from workshop.lab.machine import eventually

pytestmark = pytest.mark.root

CONFIGURATION = """\
[dps]
id_scope = "{scope}"
global_endpoint = "127.0.0.1"
registration_id = "symmetric-group"

[credential]
type = "symmetric_key"
store = "rpi-firmware"

[network]
trusted_roots = "/etc/dpsd/ca.pem"
[fleet]
volatile_window = 0
"""


def test_a_key_in_the_firmware_brings_the_device_up(device: Device, installed: Layers, emulator: Emulator) -> None:
    machine = device(installed)
    folder = emulator.folder / "devices/symmetric-group"
    command = machine.root / "usr/bin/rpi-fw-crypto"
    command.write_text(STAND_IN.format(python="/usr/bin/python3", key="/usr/share/otp"))
    command.chmod(0o755)
    otp = machine.root / "usr/share/otp"
    otp.touch(0o600)  # root's alone: the daemon can only ask the service
    otp.write_bytes((folder / "primary.key").read_bytes())
    put(machine.root, "ca.pem", (emulator.folder / "ca.pem").read_bytes())
    scope = json.loads((folder / "device.json").read_text())["idScope"]
    put(machine.root, "dpsd.toml", CONFIGURATION.format(scope=scope).encode())
    machine.boot()
    eventually(lambda: machine.is_active("dpsd.service"), "the device is provisioned", within=60)
    assert [line["service"] for line in emulator.of("connect")] == ["dps", "hub"]
    assert not list((machine.root / "etc/dpsd").glob("*key*"))
