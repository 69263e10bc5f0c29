"""What a device shows of its secrets in its sandbox, and what a crash leaves of them.

Every machine of the boot tests is inspected when its test is over; this one is at the moments that matter.
"""

from __future__ import annotations

import os
import signal

import pytest
from machine import Machine, eventually

from tests import sweep
from tests.boot.first_boot import configure
from tests.boot.inspection import inspect, processes
from tests.boot.lab import Device, Emulator, Layers

pytestmark = pytest.mark.root

CORES = """\
[Service]
LimitCORE=infinity
WorkingDirectory=/var/lib/dpsd
"""


@pytest.fixture
def crashing(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A device whose unit would let core files be written where the daemon may write, and whose DPS does not answer."""
    machine = device(installed)
    configure(machine.root, emulator)
    folder = machine.root / "etc/systemd/system/dpsd.service.d"
    folder.mkdir()
    (folder / "cores.conf").write_text(CORES)
    emulator.pause()
    machine.boot()
    return machine


def attempts(machine: Machine) -> list[int]:
    """The attempts that have opened their credential, and now connect."""
    if "connecting to" not in machine.properties("dpsd.service")["StatusText"]:
        return []
    _, *running = processes(machine)
    return running


def test_a_crash_with_the_key_in_memory_leaves_nothing_and_is_recovered_from(
    crashing: Machine, emulator: Emulator
) -> None:
    eventually(lambda: bool(attempts(crashing)), "an attempt has the key")
    (attempt,) = attempts(crashing)
    inspect(crashing)
    os.kill(attempt, signal.SIGSEGV)
    eventually(lambda: "signal 11" in crashing.properties("dpsd.service")["StatusText"], "it is told")
    assert not list((crashing.inside / "var/lib/dpsd").rglob("*core*"))
    emulator.resume()
    eventually(lambda: crashing.is_active("dpsd.service"), "the device is provisioned", within=60)
    inspect(crashing)


def test_the_inspection_finds_what_a_device_shows(crashing: Machine, emulator: Emulator) -> None:
    emulator.resume()
    eventually(lambda: crashing.is_active("dpsd.service"), "the device is provisioned", within=60)
    for spoil, mend in (
        ("chmod 0644 /etc/dpsd/device.key", "chmod 0640 /etc/dpsd/device.key"),
        ("chmod 0750 /var/lib/dpsd/private", "chmod 0700 /var/lib/dpsd/private"),
        ("cp -p /etc/dpsd/device.key /var/lib/dpsd/private/copy", "rm /var/lib/dpsd/private/copy"),
    ):
        crashing.run("sh", "-c", spoil)
        with pytest.raises(sweep.LeakError):
            inspect(crashing)
        crashing.run("sh", "-c", mend)
    inspect(crashing)
