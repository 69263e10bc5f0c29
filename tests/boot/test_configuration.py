"""Configuration that is late, wrong and mended while the device runs; nobody restarts anything by hand."""

from __future__ import annotations

import time

import pytest

from tests.boot.first_boot import configure
from tests.boot.lab import Device, Emulator, Layers, put
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root


@pytest.fixture
def blank(device: Device, installed: Layers) -> Machine:
    """A device that is up and not configured."""
    machine = device(installed)
    machine.boot()
    return machine


def status(machine: Machine) -> str:
    """What the daemon says that it is doing."""
    return machine.properties("dpsd.service")["StatusText"]


def test_configuration_comes_before_the_key(blank: Machine, emulator: Emulator) -> None:
    put(blank.root, "dpsd.toml", emulator.configuration())
    eventually(lambda: "/etc/dpsd/device" in status(blank), "the daemon started and misses its credential")
    time.sleep(3)
    assert blank.properties("dpsd.service")["NRestarts"] == "0"
    emulator.give_credential(blank.root)
    eventually(lambda: blank.is_active("steady.service"), "provisioned once the key is there", within=60)


def test_a_typo_and_then_its_correction(blank: Machine, emulator: Emulator) -> None:
    emulator.give_credential(blank.root)
    put(blank.root, "dpsd.toml", emulator.configuration().replace(b"id_scope", b"scope_id"))
    eventually(lambda: "scope_id" in status(blank), "the daemon started and names the typo")
    put(blank.root, "dpsd.toml", emulator.configuration())
    eventually(lambda: blank.is_active("steady.service"), "provisioned after the correction", within=60)
    assert blank.properties("dpsd.service")["NRestarts"] == "0"


def test_a_stopped_daemon_stays_stopped(blank: Machine, emulator: Emulator) -> None:
    configure(blank.root, emulator)
    eventually(lambda: blank.is_active("dpsd.service"), "provisioned", within=60)
    blank.run("systemctl", "stop", "dpsd.service")
    put(blank.root, "dpsd.toml", emulator.configuration() + b"# edited\n")
    eventually(lambda: was_told(blank), "the change was noticed")
    time.sleep(2)
    assert blank.properties("dpsd.service")["ActiveState"] == "inactive"


def was_told(machine: Machine) -> bool:
    """Whether dpsd-configured.service has run to its end since the daemon stopped."""
    stopped = int(machine.properties("dpsd.service")["InactiveEnterTimestampMonotonic"])
    return int(machine.properties("dpsd-configured.service")["InactiveEnterTimestampMonotonic"]) > stopped
