"""What a device shows of its secrets in its sandbox, and what a crash leaves of them.

Every machine of the boot tests is inspected when its test is over; this one is at the moments that matter.
"""

from __future__ import annotations

import os
import resource
import signal
import socket

import pytest

from tests import sweep
from tests.boot.first_boot import configure
from tests.boot.inspection import check_written, inspect, is_started, processes
from tests.boot.lab import Device, Emulator, Layers
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root

CORES = """\
[Service]
LimitCORE=infinity
WorkingDirectory=/var/lib/dpsd
"""


COPIES = (
    "/boot/firmware/dpsd/dpsd-report.txt",
    "/etc/dpsd/dpsd.toml.d/copy.toml",
    "/run/copy",
    "/run/systemd/copy",
    "/tmp/copy",
    "/usr/lib/dpsd/copy",
    "/var/lib/dpsd-import/copy",
    "/var/lib/dpsd-keys/copy",
    "/var/log/copy",
    "/var/tmp/copy",
)


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
    _, *running = processes(machine, "dpsd.service")
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


def test_a_copy_of_the_key_is_found_wherever_it_was_put(crashing: Machine) -> None:
    for path in COPIES:
        crashing.run("install", "-D", "--mode=0600", "/etc/dpsd/device.key", path)
        with pytest.raises(sweep.LeakError, match=f" is in {path}$"):
            check_written(crashing)
        crashing.run("rm", path)
    crashing.run("install", "--mode=0600", "/etc/dpsd/device.key", "/root/device.key")
    check_written(crashing)
    crashing.run("chmod", "0755", "/root")
    check_written(crashing)
    crashing.run("chmod", "0644", "/root/device.key")
    with pytest.raises(sweep.LeakError, match=r"/root/device\.key is 0644"):
        check_written(crashing)
    crashing.run("rm", "/root/device.key")


def test_a_helper_of_root_shows_nothing_and_cannot_be_dumped(crashing: Machine) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(crashing.inside / "run/dpsd-keys.sock"))
        eventually(lambda: any(map(is_started, processes(crashing, "dpsd-keys@*.service"))), "it waits for a request")
        inspect(crashing)
        (helper,) = processes(crashing, "dpsd-keys@*.service")
        resource.prlimit(helper, resource.RLIMIT_CORE, (0, 0))  # which lets a program have it still
        with pytest.raises(sweep.LeakError, match="may leave a core dump"):
            inspect(crashing)
