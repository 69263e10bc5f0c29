"""What a booted device shows of its secrets: its journal, its units, its processes, its files and who may read them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from machine import Machine

from tests import sweep
from tests.boot.lab import daemon_group, group_id, user_id

STATE, RUNTIME, KEYS = "var/lib/dpsd", "run/dpsd", "var/lib/dpsd-keys"
SAID = (
    ("journalctl", "--no-pager", "--boot", "--output=export"),
    ("systemctl", "show", "--all", "dpsd.service"),
    ("systemctl", "status", "--no-pager", "--lines=100", "dpsd.service"),
)
"""Commands whose output is swept because it is theirs."""
SECRETS = ("*key*", "*.pin", "*pin*", "*password*")
"""Files in /etc/dpsd."""


def inspect(machine: Machine) -> None:
    """Raise LeakError if a device that is on shows a secret, or if one of its files is too open."""
    for command in SAID:
        machine.attempt(*command)
    for pid in processes(machine):
        sweep.Processes(pid).look()
        if is_started(pid):
            sweep.check_core_limit(pid)
    for folder in (STATE, RUNTIME, "var/lib/systemd/coredump", "var/crash"):
        sweep.check_files(machine.inside / folder)
    check_access(machine)


def is_started(pid: int) -> bool:
    """Tell whether a process of the unit is dpsd by now: systemd's own comes first, and sets the limits."""
    with contextlib.suppress(OSError):
        return b"/dpsd\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def check_access(machine: Machine) -> None:
    """Raise LeakError if a file of the daemon, or a secret in /etc/dpsd, is open to more than it should be."""
    owner, agents = user_id(machine.root, "dpsd"), group_id(machine.root, "dpsd-agents")
    sweep.check_modes(machine.inside / STATE, sweep.STATE, owner, agents)
    sweep.check_modes(machine.inside / RUNTIME, sweep.RUNTIME, owner, agents)
    sweep.check_modes(machine.inside / KEYS, sweep.KEYS, 0)
    for path in (path for pattern in SECRETS for path in (machine.root / "etc/dpsd").glob(pattern)):
        found = path.stat()
        if found.st_mode & 0o137 or found.st_uid != 0 or found.st_gid not in (0, daemon_group(machine.root)):
            raise sweep.LeakError(f"{path} is {found.st_mode & 0o7777:04o} {found.st_uid}:{found.st_gid}")


def processes(machine: Machine) -> Iterator[int]:
    """Yield the processes of the daemon's unit, as this machine numbers them."""
    for above in ("*/", ""):  # named parts only: other groups come and go
        for listed in machine.cgroup.glob(f"{above}system.slice/dpsd.service/cgroup.procs"):
            yield from map(int, listed.read_text().split())
