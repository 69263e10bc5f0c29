"""An agent connects to its hub by nothing but what dpsd published, whatever the store: one boot for each.

The agent is docs/examples/agent.py, in a unit of its own, which is not root's. How it does so with a key on a token is
in test_token.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.boot.first_boot import access
from tests.boot.lab import WANTS, Device, Emulator, Layers, put
from tests.boot.stores import (
    await_readiness,
    certificate_from_systemd,
    certificate_in_files,
    key_from_systemd,
    key_in_files,
    released_from_seal,
    released_from_systemd,
    sealed_certificate,
    sealed_key,
)
from workshop.dev import places
from workshop.lab.machine import Machine

pytestmark = pytest.mark.root

BODY = '{"temperature": 21.5}'
RELEASED = "/run/dpsd/credentials"
SOCKET = "/run/dpsd-identity/identity.sock"
UNIT = """\
[Service]
Type=oneshot
DynamicUser=yes
EnvironmentFile=/var/lib/dpsd/connection.env
{lines}
ExecStart=/usr/bin/python3 /usr/share/agent.py /etc/dpsd/ca.pem
"""
GROUP = "SupplementaryGroups=dpsd-agents"
CERTIFICATE_FROM_SYSTEMD = "LoadCredential=dpsd.certificate\nLoadCredential=dpsd.private_key"

SEAL_CERTIFICATE = ("--certificate", "/root/device.pem", "--private-key", "/root/device.key")
SEAL_KEY = ("--primary-key", "/root/primary.key")


class Way(NamedTuple):
    """prepare: puts credential and configuration on a disk. unit: the lines that the agent's unit needs.

    authentication: what connection.json then says. files: those in memory. seal: what dpsctl seal is told.
    """

    prepare: Callable[[Path, Emulator], None]
    unit: str | None
    authentication: dict[str, str]
    files: tuple[str, ...] = ()
    seal: tuple[str, ...] = ()


def x509(**told: str) -> dict[str, str]:
    return {"type": "x509", **told}


IN_MEMORY = x509(certificate_file=f"{RELEASED}/certificate.pem", private_key_file=f"{RELEASED}/private_key.pem")
PAIR = (IN_MEMORY["certificate_file"], IN_MEMORY["private_key_file"])
STRING = (f"{RELEASED}/connection_string",)
SAS = {"type": "sas", "identity_socket": SOCKET, "connection_string_file": STRING[0]}
FILES = x509(certificate_file="/etc/dpsd/device.pem", private_key_file="/etc/dpsd/device.key")
WAYS = [
    Way(certificate_in_files, "LoadCredential=device.key:/etc/dpsd/device.key", FILES),
    Way(certificate_from_systemd, CERTIFICATE_FROM_SYSTEMD, x509(store="systemd")),
    Way(released_from_systemd, GROUP, IN_MEMORY, PAIR),
    Way(key_in_files, GROUP, SAS, STRING),
    Way(key_from_systemd, GROUP, SAS, STRING),
    Way(sealed_certificate, None, x509(store="sealed"), (), SEAL_CERTIFICATE),
    Way(released_from_seal, GROUP, IN_MEMORY, PAIR, SEAL_CERTIFICATE),
    Way(sealed_key, GROUP, SAS, STRING, SEAL_KEY),
]


@pytest.mark.parametrize("way", WAYS, ids=[way.prepare.__name__ for way in WAYS])
def test_an_agent_connects_by_what_it_is_told(way: Way, device: Device, installed: Layers, emulator: Emulator) -> None:
    machine = device(installed)
    put(machine.root, "ca.pem", (emulator.folder / "ca.pem").read_bytes())
    way.prepare(machine.root, emulator)
    add_agent(machine.root, way.unit or "")
    machine.boot()
    if way.seal:
        machine.run("dpsctl", "seal", *way.seal)
    await_readiness(machine)
    told = json.loads(machine.run("cat", "/var/lib/dpsd/connection.json"))["authentication"]
    assert told.pop("thumbprint", "").isalnum() == (way.authentication["type"] == "x509")
    assert told == way.authentication
    if way.unit is not None:
        send(machine, emulator)
    check_files(machine, way.files)

    machine.cut()
    emulator.stop()
    since = len(emulator.exchanges())
    machine.boot()
    await_readiness(machine)
    assert len(emulator.exchanges()) == since
    check_files(machine, way.files)


def add_agent(root: Path, lines: str) -> None:
    (root / WANTS / "telemetry.service").unlink()
    (root / "usr/share/agent.py").write_text((places.CHECKOUT / "docs/examples/agent.py").read_text())
    (root / "etc/systemd/system/agent.service").write_text(UNIT.format(lines=lines))


def send(machine: Machine, emulator: Emulator) -> None:
    machine.run("systemctl", "start", "agent.service")
    assert [message["body"] for message in emulator.of("message")] == [BODY]


def check_files(machine: Machine, files: tuple[str, ...]) -> None:
    """They, and no others, are there for the group and nobody else, in memory."""
    assert access(machine, RELEASED) == "2750 dpsd:dpsd-agents"
    assert sorted(machine.run("find", RELEASED, "-type", "f").split()) == sorted(files)
    for path in files:
        assert access(machine, path) == "640 dpsd:dpsd-agents"
        assert machine.attempt("cat", path, user="nobody").status != 0
        assert machine.run("stat", "--file-system", "--format=%T", path).strip() == "tmpfs"
