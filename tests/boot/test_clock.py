"""A device whose clock nothing has confirmed yet waits, says so, and goes on with the first synchronisation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.first_boot import configure
from tests.boot.lab import READY, Device, Emulator, Layers
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root

SAID = "clock-not-synchronized: nothing has synchronised the clock since the boot"
# A container would trust its host. With the folder, it looks as if systemd-timesyncd ran and were not synchronised;
# without it, systemd-timedated is asked for the kernel's flag, which is not set in a container.
UNSYNCHRONIZED = """\
[Unit]
DefaultDependencies=no
Before=dpsd.service

[Service]
Type=oneshot
ExecStart=/bin/rm /run/systemd/container
ExecStart=/bin/sh -c '{more}'

[Install]
WantedBy=dpsd.service
"""


def leave_unsynchronized(root: Path, more: str) -> None:
    units = root / "etc/systemd/system"
    (units / "unsynchronized.service").write_text(UNSYNCHRONIZED.format(more=more))
    (units / "dpsd.service.wants").mkdir()
    (units / "dpsd.service.wants/unsynchronized.service").symlink_to("/etc/systemd/system/unsynchronized.service")


@pytest.fixture
def configured(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    machine = device(installed)
    configure(machine.root, emulator)
    return machine


def test_the_clock_is_waited_for_until_its_first_synchronisation(configured: Machine) -> None:
    leave_unsynchronized(configured.root, "mkdir /run/systemd/timesync")
    configured.boot()
    eventually(lambda: SAID in configured.properties("dpsd.service")["StatusText"], "the status says why")
    assert configured.attempt("test", "-e", READY).status == 1
    configured.run("touch", "/run/systemd/timesync/synchronized")
    eventually(lambda: configured.is_active("dpsd.service"), "the device is ready")


def test_the_sandboxed_daemon_can_ask_for_the_kernels_flag(configured: Machine) -> None:
    leave_unsynchronized(configured.root, "true")
    configured.boot()
    eventually(lambda: SAID in configured.properties("dpsd.service")["StatusText"], "systemd-timedated answered")
