"""A device that is configured and cannot reach anything: nothing waits for it, and nothing breaks."""

from __future__ import annotations

import time
from pathlib import Path

import deb
import pytest
from machine import Machine, eventually

from tests.boot.first_boot import configure
from tests.boot.lab import READY, Device, Emulator, Layers

pytestmark = pytest.mark.root

PATIENCE = 30  # seconds that apt may take


@pytest.fixture
def offline(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A configured device whose DPS does not answer, up to multi-user.target."""
    emulator.stop()
    machine = device(installed)
    configure(machine.root, emulator)
    machine.boot()
    return machine


def daemon(machine: Machine) -> dict[str, str]:
    """What systemd knows of the daemon."""
    return machine.properties("dpsd.service")


def timed(machine: Machine, *words: str | Path) -> float:
    """How long a command takes that must succeed."""
    begin = time.monotonic()
    machine.run(*words, timeout=4 * PATIENCE)
    return time.monotonic() - begin


def test_the_boot_ends_and_the_agent_waits(offline: Machine) -> None:
    eventually(lambda: "127.0.0.1" in daemon(offline)["StatusText"], "the status says why")
    assert daemon(offline)["ActiveState"] == "activating"
    assert offline.attempt("dpsctl", "status", user="nobody").status == 3
    assert not offline.is_active("dpsd-provisioned.target")
    assert offline.properties("steady.service")["ActiveState"] == "inactive"
    assert offline.attempt("test", "-e", READY).status == 1
    assert timed(offline, "systemctl", "stop", "dpsd.service") < 1


def test_apt_never_waits(offline: Machine) -> None:
    package = deb.build()
    (offline.root / "root/dpsd.deb").write_bytes(package.read_bytes())
    before = daemon(offline)["MainPID"]
    assert timed(offline, "dpkg", "--install", "/root/dpsd.deb") < PATIENCE
    eventually(lambda: daemon(offline)["MainPID"] not in {before, "0"}, "restarted by the upgrade")
    assert timed(offline, "dpkg", "--remove", "dpsd") < PATIENCE
    assert daemon(offline)["ActiveState"] == "inactive"
    assert timed(offline, "dpkg", "--install", "/root/dpsd.deb") < PATIENCE
    eventually(lambda: daemon(offline)["ActiveState"] == "activating", "started by the install")
    assert timed(offline, "dpkg", "--purge", "dpsd") < PATIENCE
    assert offline.attempt("ls", "/var/lib/dpsd").status != 0
    assert offline.run("ls", "/etc/dpsd/device.key")
