"""What a booted device shows of its secrets: its journal, its units, its processes, its files and who may read them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from dpsd.state.files import SEAL_KEY
from tests import canaries, sweep
from tests.boot.lab import daemon_group, group_id, user_id
from workshop.lab.machine import Machine

STATE, KEYS = "var/lib/dpsd", "var/lib/dpsd-keys"
OWN = (STATE, KEYS, "var/lib/dpsd-import", "run/dpsd", "run/dpsd-connection", "run/dpsd-keys.sock")
"""What is dpsd's alone: all that is there has a row in `dpsd.state.files`."""
SAID = (
    ("journalctl", "--no-pager", "--output=export"),
    ("systemctl", "show", "--all", "dpsd*.service"),
    ("systemctl", "status", "--no-pager", "--lines=100", "dpsd.service"),
)
"""Commands whose output is swept because it is theirs."""
BESIDE = (STATE, "run", "tmp", "dev/shm")
"""What can be on another disk than the device's own, or in memory."""
GIVEN = (
    "etc/dpsd/*key*", "etc/dpsd/*pin*", "etc/dpsd/*password*", "etc/credstore/dpsd.*", "root/*", "usr/share/otp",
    "run/credentials/*",
)  # fmt: skip
"""Where a device's owner puts a secret, and systemd hands it out: it may be there if it is closed to others."""
ON_CARD = ("boot/firmware/dpsd/private_key.pem", "boot/firmware/dpsd/primary_key")
"""What a bundle brings, until it is adopted: the boot partition knows no owners."""
PROGRAMS = (b"/dpsd\0", b"/dpsctl\0", b"\0dpsd.keys.service\0", b"\0dpsd.doors.service\0")
"""What stands in the arguments of dpsd's programs."""


def inspect(machine: Machine) -> None:
    """Raise LeakError if a device that is on shows a secret, or if one of its files is too open."""
    for command in SAID:
        machine.attempt(*command)
    for pid in processes(machine):
        sweep.Processes(pid).look()
        if is_started(pid):
            sweep.check_core_limit(pid)
    check_written(machine)
    check_access(machine)


def is_started(pid: int) -> bool:
    """Tell whether a process of a unit is dpsd's by now: systemd's own comes first, and sets the limits."""
    with contextlib.suppress(OSError):
        return any(program in Path(f"/proc/{pid}/cmdline").read_bytes() for program in PROGRAMS)
    return False


def check_written(machine: Machine) -> None:
    """Raise LeakError if a secret is in anything that the device has written, but where it belongs."""
    with contextlib.suppress(FileNotFoundError):
        canaries.note((machine.inside / KEYS / "file.key").read_bytes(), SEAL_KEY)
    owners = frozenset({0, user_id(machine.root, "dpsd")})  # Debian 12's systemd gives what it hands out to the user
    groups = frozenset({0, daemon_group(machine.root)})
    disk = machine.root.with_name("upper")  # what was written since, and nothing that was there before
    for top, folder in ((disk, disk), *((machine.inside, machine.inside / name) for name in BESIDE)):
        for path, found in sweep.findings(folder):
            name = str(path.relative_to(top))
            if any(fnmatch(name, pattern) for pattern in GIVEN):
                sweep.check_closed(path, top, owners, groups)
            elif name not in ON_CARD:
                raise sweep.LeakError(f"{found} is in /{name}")


def check_access(machine: Machine) -> None:
    """Raise LeakError if a file of dpsd is not what its row says, or if a secret in /etc/dpsd is open to others."""
    for name in OWN:
        sweep.check_exactly(machine.inside, machine.inside / name, ids(machine.root))
    groups = frozenset({0, daemon_group(machine.root)})
    for pattern in (one for one in GIVEN if one.startswith("etc/dpsd/")):
        for path in machine.root.glob(pattern):
            sweep.check_closed(path, machine.root, frozenset({0}), groups)


def ids(root: Path) -> dict[str, int]:
    """The users and groups that dpsd's files belong to, on a disk."""
    return {"root": 0, "dpsd": user_id(root, "dpsd"), "dpsd-agents": group_id(root, "dpsd-agents")}


def processes(machine: Machine, units: str = "dpsd*.service") -> Iterator[int]:
    """Yield the processes of units, as this machine numbers them."""
    for above in ("*/", ""):  # named parts only: other groups come and go
        for slice_ in ("system.slice", "system.slice/system-dpsd*.slice"):
            for listed in machine.cgroup.glob(f"{above}{slice_}/{units}/cgroup.procs"):
                with contextlib.suppress(OSError):  # helpers end
                    yield from map(int, listed.read_text().split())
