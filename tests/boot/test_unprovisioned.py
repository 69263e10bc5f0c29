"""A device that is configured and cannot reach anything: nothing waits for it, and nothing breaks."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from dpsd.errors import PROBLEMS
from dpsd.explanations import MEANINGS
from tests.boot.first_boot import configure
from tests.boot.lab import READY, Device, Emulator, Layers
from workshop.debian import deb
from workshop.lab.machine import Machine, eventually

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


def test_the_journal_finds_and_explains_the_problem(offline: Machine) -> None:
    search = ("journalctl", "--no-pager", "--output=json", "DPSD_CODE=connection-refused")
    eventually(lambda: offline.attempt(*search).output != "", "the problem is in the journal")
    entry = json.loads(offline.run(*search).splitlines()[0])
    assert (entry["PRIORITY"], entry["_SYSTEMD_UNIT"], entry["SYSLOG_IDENTIFIER"]) == ("4", "dpsd.service", "dpsd")
    assert entry["DPSD_HINT"] == PROBLEMS["connection-refused"].hint
    journal = offline.run("journalctl", "--no-pager", "--catalog", "--unit=dpsd.service", "_COMM=dpsd")
    assert f"What to do: {entry['DPSD_HINT']}" in journal
    assert MEANINGS["connection-refused"] in re.sub(r"\n\S+ ", " ", journal)
    assert "dpsd: dpsd:" not in journal
    assert offline.run("journalctl", "--no-pager", "_TRANSPORT=stdout", "_COMM=dpsd", "--output=cat") == ""


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
