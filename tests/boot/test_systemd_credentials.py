"""Credentials that systemd hands over, encrypted on the device: missing ones are waited for, agents get the same."""

from __future__ import annotations

import pytest

from tests.boot.lab import READY, Device, Emulator, Layers, put
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root
LINES = "LoadCredential=dpsd.certificate\nLoadCredentialEncrypted=dpsd.private_key\n"
AGENT = f"""\
[Service]
Type=oneshot
DynamicUser=yes
EnvironmentFile=/var/lib/dpsd/connection.env
{LINES}ExecStart=/usr/bin/mosquitto_pub --host ${{IOTHUB_HOSTNAME}} --port ${{IOTHUB_MQTT_PORT}} \\
    --id ${{IOTHUB_DEVICE_ID}} --username ${{IOTHUB_MQTT_USERNAME}} --protocol-version mqttv311 \\
    --cafile /etc/dpsd/ca.pem --cert ${{CREDENTIALS_DIRECTORY}}/dpsd.certificate \\
    --key ${{CREDENTIALS_DIRECTORY}}/dpsd.private_key --qos 1 \\
    --topic devices/${{IOTHUB_DEVICE_ID}}/messages/events/ --message by-systemd
"""


@pytest.fixture
def configured(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A device that is to have its credential from systemd."""
    machine = device(installed)
    put(machine.root, "ca.pem", (emulator.folder / "ca.pem").read_bytes())
    put(machine.root, "dpsd.toml", emulator.configuration("systemd"))
    (machine.root / "etc/systemd/system/by-systemd.service").write_text(AGENT)
    return machine


@pytest.fixture
def asking(configured: Machine) -> Machine:
    """A device whose service asks for credentials that are not there."""
    machine = configured
    drop_in = machine.root / "etc/systemd/system/dpsd.service.d/credentials.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\n{LINES}")
    machine.boot()
    return machine


def seal(machine: Machine, emulator: Emulator) -> None:
    """Do what dpsd.toml(5) says."""
    source = emulator.folder / "devices/x509-group"
    put(machine.root, "device.key", (source / "device.key").read_bytes(), 0o600)
    for folder in ("credstore", "credstore.encrypted"):
        (machine.root / "etc" / folder).mkdir(mode=0o700, exist_ok=True)
    (machine.root / "etc/credstore/dpsd.certificate").write_bytes((source / "device.pem").read_bytes())
    sealed = "/etc/credstore.encrypted/dpsd.private_key"
    machine.run("systemd-creds", "encrypt", "--name=dpsd.private_key", "/etc/dpsd/device.key", sealed)
    (machine.root / "etc/dpsd/device.key").unlink()


def test_a_missing_one_fails_no_unit_and_a_sealed_one_serves_dpsd_and_agents(
    asking: Machine, emulator: Emulator
) -> None:
    def status() -> str:
        return asking.properties("dpsd.service")["StatusText"]

    eventually(lambda: "credential-missing: systemd gave no dpsd.certificate" in status(), "the daemon runs and waits")
    assert asking.properties("dpsd.service")["NRestarts"] == "0"
    seal(asking, emulator)
    asking.run("systemctl", "restart", "--no-block", "dpsd.service")
    eventually(lambda: asking.is_active("dpsd.service"), "provisioned", within=60)
    assert '"store": "systemd"' in asking.run("cat", "/var/lib/dpsd/connection.json")
    asking.run("systemctl", "start", "by-systemd.service")
    assert asking.attempt("dpsctl", "config").status == 0

    asking.cut()
    emulator.stop()
    since = len(emulator.exchanges())
    asking.boot()
    eventually(lambda: asking.is_active("dpsd.service"), "ready again by its certificate", within=60)
    assert asking.attempt("test", "-e", READY).status == 0
    assert len(emulator.exchanges()) == since

    asking.run("systemctl", "stop", "dpsd.service")
    asking.run("dpsctl", "reset", "--credential", "--yes")
    assert asking.run("find", "/etc/credstore", "/etc/credstore.encrypted", "-name", "dpsd.*") == ""


def test_one_command_encrypts_it_and_lets_systemd_hand_it_over(configured: Machine, emulator: Emulator) -> None:
    source = emulator.folder / "devices/x509-group"
    for name, mode in (("device.pem", 0o644), ("device.key", 0o600)):
        put(configured.root, name, (source / name).read_bytes(), mode)
    configured.boot()
    files = ("--certificate=/etc/dpsd/device.pem", "--private-key=/etc/dpsd/device.key")
    said = configured.run("dpsctl", "seal", "--systemd", *files)
    assert "wrote /etc/credstore.encrypted/dpsd.private_key\n" in said and "removed /etc/dpsd/device.key\n" in said
    configured.run("systemctl", "restart", "--no-block", "dpsd.service")
    eventually(lambda: configured.is_active("dpsd.service"), "provisioned", within=60)
    assert '"store": "systemd"' in configured.run("cat", "/var/lib/dpsd/connection.json")
    secret = (source / "device.key").read_text().splitlines()[1]
    assert configured.attempt("grep", "-rlF", secret, "/etc", "/var/lib") == (1, "")
    access = configured.run("stat", "--format=%a %U", "/etc/credstore.encrypted/dpsd.private_key").strip()
    assert access == "600 root"
    configured.run("systemctl", "start", "by-systemd.service")
    configured.run("systemctl", "stop", "dpsd.service")
    configured.run("dpsctl", "reset", "--credential", "--yes")
    assert configured.attempt("find", "/etc/credstore", "/etc/credstore.encrypted", "-name", "dpsd.*").output == ""
    assert configured.attempt("test", "-e", "/etc/systemd/system/dpsd.service.d/50-dpsd-credentials.conf").status == 1


def test_purge_removes_what_the_command_wrote_and_nothing_else(configured: Machine) -> None:
    configured.boot()
    pair = ("--certificate=/etc/dpsd/again.pem", "--private-key=/etc/dpsd/again.key")
    key = make_key("ec", 1)
    put(configured.root, "again.pem", pem_of(make_certificate(key, "pi-again")))
    put(configured.root, "again.key", pem_of_key(key), 0o600)
    configured.run("dpsctl", "seal", "--systemd", *pair)
    configured.run("touch", "/etc/credstore.encrypted/other.key")
    configured.run("dpkg", "--purge", "dpsd", timeout=120)
    folders = ("/etc/credstore.encrypted", "/etc/credstore", "/etc/systemd/system/dpsd.service.d")
    assert configured.attempt("find", *folders, "-type", "f").output.splitlines()[0].endswith("/other.key")
    assert configured.attempt("test", "-e", folders[-1]).status == 1
