"""How a device of the laboratory is prepared with each kind of credential, in each store."""

from __future__ import annotations

import json
from pathlib import Path

from tests.boot.lab import READY, Emulator, put
from workshop.lab.machine import Machine, eventually

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


def await_readiness(machine: Machine) -> None:
    eventually(lambda: machine.is_active("dpsd.service"), "the device is provisioned", within=60)
    machine.run("test", "-e", READY)
