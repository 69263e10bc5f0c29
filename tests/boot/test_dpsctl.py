"""dpsctl as root leaves the daemon's files the daemon's."""

from __future__ import annotations

import pytest

from tests.boot.first_boot import PUBLISHED, STATE, access, configure, look
from tests.boot.lab import Device, Emulator, Layers
from workshop.lab.machine import Machine, eventually

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


def test_others_may_not_reset(idle: Machine) -> None:
    idle.run("dpsctl", "provision")
    ended = idle.attempt("dpsctl", "reset", "--yes", user="nobody")
    assert (ended.status, "dpsd: not-permitted: " in ended.output) == (78, True)
    assert idle.attempt("test", "-e", PUBLISHED[0]).status == 0


def test_a_device_that_was_reset_with_its_credential_waits_for_a_new_one(idle: Machine, emulator: Emulator) -> None:
    idle.run("systemctl", "start", "dpsd.service")
    idle.run("systemctl", "stop", "dpsd.service")
    told = idle.run("dpsctl", "reset", "--credential", "--yes")
    assert "removed /etc/dpsd/device.key\n" in told
    left = idle.run("find", STATE, "/run/dpsd", "-type", "f").split()
    assert left == [f"{STATE}/private/lock"]
    idle.run("systemctl", "start", "--no-block", "dpsd.service")
    missing = "credential-missing"
    eventually(lambda: missing in idle.properties("dpsd.service")["StatusText"], "the credential is missed")
