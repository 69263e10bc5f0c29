"""dpsctl as root leaves the daemon's files the daemon's."""

from __future__ import annotations

import pytest
from machine import Machine

from tests.boot.first_boot import PUBLISHED, STATE, access, configure, look
from tests.boot.lab import Device, Emulator, Layers

pytestmark = pytest.mark.root


@pytest.fixture
def idle(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A device whose daemon was stopped before it was configured."""
    machine = device(installed)
    machine.boot()
    machine.run("systemctl", "stop", "dpsd-configured.path")
    configure(machine.root, emulator)
    return machine


def test_the_daemon_takes_over_what_provision_did(idle: Machine, emulator: Emulator) -> None:
    idle.run("dpsctl", "provision")
    assert {look(idle, path).access for path in PUBLISHED} == {"644 dpsd:dpsd"}
    assert access(idle, f"{STATE}/payload.json") == "640 dpsd:dpsd-agents"
    idle.run("systemctl", "start", "dpsd.service")
    assert len(emulator.of("register")) == 1


def test_provision_asks_a_running_daemon(idle: Machine, emulator: Emulator) -> None:
    idle.run("systemctl", "start", "dpsd.service")
    idle.run("dpsctl", "provision", "--force")
    assert len(emulator.of("register")) == 2
    assert idle.is_active("dpsd.service")


def test_others_may_not_provision(idle: Machine) -> None:
    ended = idle.attempt("dpsctl", "provision", user="nobody")
    assert ended.status == 78
    assert "dpsd: not-permitted: " in ended.output
