"""One first boot, watched: what the tests of it look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tests.boot.lab import READY, Emulator, put
from workshop.lab.machine import Machine, eventually

STATE = "/var/lib/dpsd"
PUBLISHED = (f"{STATE}/connection.json", f"{STATE}/connection.env")
ACCESS = (STATE, f"{STATE}/private", f"{STATE}/payload.json", "/run/dpsd", "/run/dpsd/status.json", READY)
MESSAGE = "hello-from-the-agent"


class File(NamedTuple):
    """A file as another user sees it; inode and content tell whether it was written again."""

    access: str
    inode: int
    content: str


class FirstBoot(NamedTuple):
    """What was there once the agent had sent its message."""

    files: dict[str, File]
    access: dict[str, str]
    daemon: dict[str, str]
    telemetry: dict[str, str]
    exchanges: list[dict[str, Any]]
    layers: tuple[Path, ...] = ()


def observe(machine: Machine, emulator: Emulator) -> FirstBoot:
    """Boot a device that is configured, as an image of Raspberry Pi OS would, until its agent is through."""
    configure(machine.root, emulator)
    (machine.root / "etc/machine-id").write_text("uninitialized\n")
    machine.boot()
    eventually(lambda: machine.is_active("telemetry.service"), "the agent has sent its message", within=60)
    return FirstBoot(
        files={path: look(machine, path) for path in PUBLISHED},
        access={path: access(machine, path) for path in ACCESS},
        daemon=machine.properties("dpsd.service"),
        telemetry=machine.properties("telemetry.service"),
        exchanges=emulator.exchanges(),
    )


def configure(root: Path, emulator: Emulator) -> None:
    """Put the emulator's credential and a configuration on a disk."""
    emulator.give_credential(root)
    put(root, "dpsd.toml", emulator.configuration())


def access(machine: Machine, path: str) -> str:
    """Mode, owner and group."""
    return machine.run("stat", "--format=%a %U:%G", path).strip()


def look(machine: Machine, path: str) -> File:
    """Read a file as a user that has nothing to do with dpsd."""
    mode, inode = machine.run("stat", "--format=%a %U:%G/%i", path, user="nobody").strip().split("/")
    return File(mode, int(inode), machine.run("cat", path, user="nobody"))
