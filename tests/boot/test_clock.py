"""A device whose clock nothing has confirmed yet waits, says so, and goes on with the first synchronisation."""

from __future__ import annotations

from pathlib import Path

import pytest
from machine import Machine, eventually

from tests.boot.first_boot import configure
from tests.boot.lab import READY, Device, Emulator, Layers

pytestmark = pytest.mark.root

# systemd-timesyncd does not run in a container: this leaves the traces of one that runs and is not synchronised.
UNSYNCHRONIZED = """\
[Unit]
DefaultDependencies=no
Before=dpsd.service

[Service]
Type=oneshot
ExecStart=/bin/rm /run/systemd/container
ExecStart=/bin/mkdir /run/systemd/timesync

[Install]
WantedBy=dpsd.service
"""


def leave_unsynchronized(root: Path) -> None:
    units = root / "etc/systemd/system"
    (units / "unsynchronized.service").write_text(UNSYNCHRONIZED)
    (units / "dpsd.service.wants").mkdir()
    (units / "dpsd.service.wants/unsynchronized.service").symlink_to("/etc/systemd/system/unsynchronized.service")


@pytest.fixture
def doubting(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    machine = device(installed)
    configure(machine.root, emulator)
    leave_unsynchronized(machine.root)
    machine.boot()
    return machine


def test_the_clock_is_waited_for_until_its_first_synchronisation(doubting: Machine) -> None:
    said = "clock-not-synchronized: nothing has synchronised the clock since the boot"
    eventually(lambda: said in doubting.properties("dpsd.service")["StatusText"], "the status says why")
    assert doubting.attempt("test", "-e", READY).status == 1
    doubting.run("touch", "/run/systemd/timesync/synchronized")
    eventually(lambda: doubting.is_active("dpsd.service"), "the device is ready")
    assert doubting.attempt("dpsctl", "status", user="nobody").status == 0
