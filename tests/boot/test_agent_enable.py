"""A Debian daemon that knows nothing of dpsd starts only once the device is provisioned."""

from __future__ import annotations

import pytest

from tests.boot.first_boot import configure
from tests.boot.lab import Device, Emulator, Layers
from workshop.lab.machine import eventually

pytestmark = pytest.mark.root


def test_mosquitto_waits_for_the_hub(device: Device, installed: Layers, emulator: Emulator) -> None:
    emulator.stop()
    machine = device(installed)
    configure(machine.root, emulator)
    machine.boot()
    assert machine.is_active("mosquitto.service")
    machine.run("dpsctl", "agent", "enable", "mosquitto")
    machine.power_off()
    machine.boot()
    assert machine.properties("mosquitto.service")["ActiveState"] == "inactive"
    emulator.start()
    machine.run("dpsctl", "reprovision")
    eventually(lambda: machine.is_active("mosquitto.service"), "mosquitto runs", within=60)
    assert machine.is_active("dpsd.service")

    machine.run("dpsctl", "agent", "disable", "mosquitto")
    assert "dpsd" not in machine.run("systemctl", "cat", "mosquitto.service")

    machine.run("dpsctl", "agent", "enable", "--restart-on-change", "mosquitto")
    agent = machine.properties("mosquitto.service")["MainPID"]
    machine.run("dpkg", "--purge", "dpsd")
    assert "dpsd" not in machine.run("systemctl", "cat", "mosquitto.service")
    assert machine.properties("mosquitto.service")["MainPID"] == agent
    assert machine.run("sh", "-c", "ls -d /run/dpsd* /etc/systemd/system/*/*dpsd* 2>/dev/null || true") == ""
