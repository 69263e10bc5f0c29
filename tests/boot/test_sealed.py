"""A credential that is sealed on the device: by each key source, through the root service, over boots and changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.lab import READY, Device, Emulator, Layers, put
from tests.processes.firmware import STAND_IN
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root
SEALED = "var/lib/dpsd/private/credential.sealed"
FILES = ("--certificate=/etc/dpsd/device.pem", "--private-key=/etc/dpsd/device.key")
ASK = """import socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect("/run/dpsd-keys.sock")
connection.send(sys.argv[1].encode())
print(connection.recv(9999).decode())
"""


def add_firmware(root: Path) -> None:
    """Put a stand-in for the firmware's command on a disk, and a key that only root can read."""
    command, key = root / "usr/bin/rpi-fw-crypto", root / "usr/share/otp"
    command.write_text(STAND_IN.format(python="/usr/bin/python3", key="/usr/share/otp"))
    command.chmod(0o755)
    key.touch(0o600)
    key.write_text("b3RwIG90cCBvdHAgb3RwIG90cCBvdHAgb3RwIG90cCE=")


def another(root: Path) -> tuple[str, str]:
    """Put another pair on a disk, and return how it is named to be sealed."""
    key = make_key("ec", 1)
    put(root, "again.pem", pem_of(make_certificate(key, "pi-again")))
    put(root, "again.key", pem_of_key(key), 0o600)
    return "--certificate=/etc/dpsd/again.pem", "--private-key=/etc/dpsd/again.key"


@pytest.fixture
def waiting(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A device that waits for its credential to be sealed, with the plaintext in its place."""
    machine = device(installed)
    emulator.give_credential(machine.root)
    put(machine.root, "dpsd.toml", emulator.configuration("sealed"))
    add_firmware(machine.root)
    (machine.root / "etc/machine-id").write_text("uninitialized\n")
    machine.boot()
    eventually(lambda: "seal-missing" in status(machine), "the daemon says that nothing is sealed")
    return machine


def status(machine: Machine) -> str:
    return machine.properties("dpsd.service")["StatusText"]


def secret_of(emulator: Emulator) -> bytes:
    """A line of the private key."""
    return (emulator.folder / "devices/x509-group/device.key").read_bytes().splitlines()[1]


@pytest.mark.parametrize("source", ["rpi-firmware", "systemd", "file"])
def test_it_brings_the_device_up_and_keeps_it_up(source: str, waiting: Machine, emulator: Emulator) -> None:
    said = waiting.run("dpsctl", "seal", *FILES, f"--source={source}")
    assert f"by {source}, for " in said and "removed /etc/dpsd/device.key\n" in said
    eventually(lambda: waiting.is_active("dpsd.service"), "provisioned", within=60)
    assert '"store": "sealed"' in waiting.run("cat", "/var/lib/dpsd/connection.json")
    assert f"source: {source}\n" in waiting.run("dpsctl", "seal", "--check")
    secret = secret_of(emulator).decode()
    assert waiting.attempt("grep", "-rlF", secret, "/etc", "/var/lib", "/run") == (1, "")
    assert waiting.run("stat", "--format=%a %U:%G", "/" + SEALED).strip() == "600 dpsd:dpsd"

    waiting.cut()
    emulator.stop()
    since = len(emulator.exchanges())
    waiting.boot()
    eventually(lambda: waiting.is_active("dpsd.service"), "ready again without a network", within=60)
    assert waiting.attempt("test", "-e", READY).status == 0
    waiting.run("systemctl", "reload", "dpsd.service")
    eventually(lambda: "provisioned: " in status(waiting), "the credential is opened by the daemon again")
    assert waiting.attempt("dpsctl", "config").status == 0
    assert len(emulator.exchanges()) == since


def test_the_strongest_source_is_taken_and_another_can_take_over(waiting: Machine) -> None:
    assert "by rpi-firmware, for " in waiting.run("dpsctl", "seal", *FILES)
    assert "not-permitted: " in waiting.attempt("dpsctl", "config", user="nobody").output
    assert "by systemd, for " in waiting.run("dpsctl", "seal", "--reseal", "--source=systemd")
    (waiting.root / "usr/bin/rpi-fw-crypto").unlink()
    assert "source: systemd\n" in waiting.run("dpsctl", "seal", "--check")
    eventually(lambda: waiting.is_active("dpsd.service"), "provisioned", within=60)


def test_nothing_weaker_takes_over_unasked(waiting: Machine) -> None:
    waiting.run("dpsctl", "seal", *FILES)
    command = waiting.root / "usr/bin/rpi-fw-crypto"
    command.write_text("#!/bin/sh\nexit 1\n")
    refused = waiting.attempt("dpsctl", "seal", *another(waiting.root))
    assert "dpsd: firmware-failed: " in refused.output and "--source systemd" in refused.output
    add_firmware(waiting.root)
    waiting.run("dpsctl", "seal", "--reseal", "--source=file")
    said = waiting.run("dpsctl", "seal", "--reseal", "--source=rpi-firmware")
    assert "removed /var/lib/dpsd-keys/file.key, which opened the earlier seal" in said
    assert "source: rpi-firmware\n" in waiting.run("dpsctl", "seal", "--check")


def test_another_machine_id_is_named_and_costs_systemd_nothing(waiting: Machine) -> None:
    waiting.run("dpsctl", "seal", *FILES, "--source=systemd")
    eventually(lambda: waiting.is_active("dpsd.service"), "provisioned", within=60)
    secret = waiting.run("sha256sum", "/var/lib/systemd/credential.secret")
    before = waiting.run("cat", "/etc/machine-id")
    waiting.run("sh", "-c", "echo 0123456789abcdef0123456789abcdef >/etc/machine-id")
    waiting.run("systemctl", "reload", "dpsd.service")
    eventually(lambda: "key-source-changed" in status(waiting), "the other machine id is named")
    assert waiting.attempt("test", "-e", READY).status == 0
    refused = waiting.attempt("dpsctl", "seal", "--check")
    assert (refused.status, "machine-id has changed" in refused.output) == (78, True)
    assert waiting.run("sha256sum", "/var/lib/systemd/credential.secret") == secret
    waiting.run("sh", "-c", f"echo {before.strip()} >/etc/machine-id")
    assert waiting.attempt("dpsctl", "seal", "--check").status == 0
    waiting.run("sh", "-c", "echo 0123456789abcdef0123456789abcdef >/etc/machine-id")
    again = waiting.run("dpsctl", "seal", *another(waiting.root), "--source=systemd")
    assert "by systemd, for " in again and "stays until this one has provisioned" in again


def test_a_tampered_seal_and_a_lost_key_are_named(waiting: Machine) -> None:
    waiting.run("dpsctl", "seal", *FILES, "--source=file")
    eventually(lambda: waiting.is_active("dpsd.service"), "provisioned", within=60)
    path = waiting.root / SEALED
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "seal-damaged" in waiting.attempt("dpsctl", "seal", "--check").output
    waiting.run("systemctl", "reload", "dpsd.service")
    eventually(lambda: "seal-damaged" in status(waiting), "the damage is named")
    path.write_bytes(whole)
    waiting.run("rm", "/var/lib/dpsd-keys/file.key")
    waiting.run("systemctl", "reload", "dpsd.service")
    eventually(lambda: "key-source-missing" in status(waiting), "the lost key is named")
    waiting.run("systemctl", "stop", "dpsd-keys.socket")
    waiting.run("systemctl", "reload", "dpsd.service")
    eventually(lambda: "key-helper-unreachable" in status(waiting), "the service is named")


def test_the_service_answers_the_daemon_alone_and_nothing_but_its_requests(waiting: Machine) -> None:
    waiting.run("dpsctl", "seal", *FILES, "--source=file")
    derive = f"derive file {'00' * 32}"

    def asked(request: str, *switch: str) -> str:
        return waiting.attempt("setpriv", *switch, "--clear-groups", "python3", "-c", ASK, request).output

    daemon = ("--reuid=dpsd", "--regid=dpsd")
    assert '"answer"' in asked(derive, *daemon)
    assert "PermissionError" in asked(derive, "--reuid=nobody", "--regid=nogroup")
    assert "answers root and the user dpsd" in asked(derive, "--reuid=nobody", "--regid=dpsd")
    for request in ("derive /etc/shadow 00", "sign 1 disk", "genkey 1", "x" * 3000):
        assert "does not answer such a request" in asked(request, *daemon) or "more than" in asked(request, *daemon)
    assert waiting.attempt("ls", "/var/lib/dpsd-keys", user="dpsd").status != 0


def test_reset_and_purge_leave_nothing(waiting: Machine) -> None:
    for source in ("systemd", "file"):
        waiting.run("dpsctl", "seal", *another(waiting.root), f"--source={source}")
    waiting.run("systemctl", "stop", "dpsd.service")
    said = waiting.run("dpsctl", "reset", "--credential", "--yes")
    assert "removed /var/lib/dpsd-keys/systemd.json\n" in said and f"removed /{SEALED}\n" in said
    assert waiting.run("find", "/var/lib/dpsd-keys", "-type", "f") == ""
    waiting.run("dpkg", "--purge", "dpsd", timeout=120)
    assert waiting.attempt("test", "-e", "/var/lib/dpsd-keys").status == 1
