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
from tests.boot.lab import READY, WANTS, Device, Emulator, Layers, put
from workshop.dev import places
from workshop.lab.machine import Machine, eventually

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
KEY = """\
[dps]
id_scope = "{scope}"
global_endpoint = "127.0.0.1"
registration_id = "symmetric-group"
[credential]
type = "symmetric_key"
{lines}
[network]
trusted_roots = "/etc/dpsd/ca.pem"
[fleet]
volatile_window = 0
[outputs]
connection_string = true
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


def certificate_in_files(root: Path, emulator: Emulator) -> None:
    emulator.give_credential(root)
    put(root, "dpsd.toml", emulator.configuration())


def certificate_from_systemd(root: Path, emulator: Emulator) -> None:
    source = emulator.folder / "devices/x509-group"
    give(root, "dpsd.certificate", source / "device.pem")
    give(root, "dpsd.private_key", source / "device.key")
    configure_certificate(root, emulator, "systemd")


def released_from_systemd(root: Path, emulator: Emulator) -> None:
    certificate_from_systemd(root, emulator)
    release(root)


def key_in_files(root: Path, emulator: Emulator) -> None:
    put(root, "device.symkey", (emulator.folder / "devices/symmetric-group/primary.key").read_bytes(), 0o640)
    configure_key(root, emulator, 'primary_key_file = "/etc/dpsd/device.symkey"')


def key_from_systemd(root: Path, emulator: Emulator) -> None:
    give(root, "dpsd.primary_key", emulator.folder / "devices/symmetric-group/primary.key")
    configure_key(root, emulator, 'store = "systemd"')


def sealed_certificate(root: Path, emulator: Emulator) -> None:
    source = emulator.folder / "devices/x509-group"
    for name in ("device.pem", "device.key"):
        (root / "root" / name).write_bytes((source / name).read_bytes())
    configure_certificate(root, emulator, "sealed")


def released_from_seal(root: Path, emulator: Emulator) -> None:
    sealed_certificate(root, emulator)
    release(root)


def sealed_key(root: Path, emulator: Emulator) -> None:
    key = emulator.folder / "devices/symmetric-group/primary.key"
    (root / "root/primary.key").write_bytes(key.read_bytes().strip())
    configure_key(root, emulator, 'store = "sealed"')


def configure_certificate(root: Path, emulator: Emulator, store: str) -> None:
    put(root, "dpsd.toml", emulator.configuration(store))


def release(root: Path) -> None:
    (root / "etc/dpsd/dpsd.toml.d/release.toml").write_text("[outputs]\nrelease_private_key = true\n")


def configure_key(root: Path, emulator: Emulator, lines: str) -> None:
    scope = json.loads((emulator.folder / "devices/symmetric-group/device.json").read_text())["idScope"]
    put(root, "dpsd.toml", KEY.format(scope=scope, lines=lines).encode())


def give(root: Path, name: str, source: Path) -> None:
    """Have systemd hand a credential to dpsd.service."""
    store, drop_in = root / "etc/credstore", root / "etc/systemd/system/dpsd.service.d" / f"{name}.conf"
    store.mkdir(mode=0o700, exist_ok=True)
    (store / name).write_bytes(source.read_bytes())
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text(f"[Service]\nLoadCredential={name}\n")


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


def await_readiness(machine: Machine) -> None:
    eventually(lambda: machine.is_active("dpsd.service"), "the device is provisioned", within=60)
    machine.run("test", "-e", READY)


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
