"""Power cuts during the first boot, several in a row: the same single device results."""

from __future__ import annotations

import json
import time

import pytest

from tests.boot.first_boot import PUBLISHED, configure, look
from tests.boot.lab import HUB, Device, Emulator, Layers
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root


@pytest.fixture
def fresh(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A configured device that was never booted; its image has no machine id."""
    machine = device(installed)
    configure(machine.root, emulator)
    (machine.root / "etc/machine-id").write_text("uninitialized\n")
    return machine


def check_single_device(machine: Machine, emulator: Emulator) -> None:
    """Boot to the end: one device was assigned, however often, and it is the one that is published and used."""
    machine.boot()
    eventually(lambda: machine.is_active("telemetry.service"), "the agent has sent its message", within=60)
    connection = json.loads(look(machine, PUBLISHED[0]).content)
    assert connection["iothub_hostname"] == HUB
    assert emulator.devices() == {(HUB, connection["device_id"])}
    assert {message["client"] for message in emulator.of("message")} == {connection["device_id"]}


def test_three_cuts_and_then_a_boot(fresh: Machine, emulator: Emulator) -> None:
    fresh.start()
    fresh.cut()
    fresh.start()
    eventually(lambda: bool(emulator.of("register")), "it registers")
    fresh.cut()
    assert not emulator.devices()
    fresh.start()
    eventually(lambda: bool(emulator.devices()), "a device is assigned")
    fresh.cut()
    check_single_device(fresh, emulator)


@pytest.mark.full
def test_cuts_at_many_moments(fresh: Machine, emulator: Emulator) -> None:
    for moment in range(25):
        fresh.start()
        time.sleep(moment / 10)
        fresh.cut()
    check_single_device(fresh, emulator)
