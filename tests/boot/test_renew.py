"""`dpsctl renew` on a device: root's files, the daemon's registration, and a boot that finishes what was cut short."""

from __future__ import annotations

import pytest

from tests.boot.first_boot import access, configure
from tests.boot.lab import Device, Emulator, Layers, issue
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root
PAIR = ("/etc/dpsd/device.pem", "/etc/dpsd/device.key")
NOTED = "/var/lib/dpsd/private/renewed.json"


@pytest.fixture
def ready(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    machine = device(installed)
    configure(machine.root, emulator)
    machine.boot()
    eventually(lambda: machine.is_active("dpsd.service"), "provisioned", within=60)
    return machine


def test_a_renewed_pair_is_registered_and_has_the_old_owners(ready: Machine, emulator: Emulator) -> None:
    new, before = issue(ready, emulator), [access(ready, path) for path in PAIR]
    renewed = ready.run("dpsctl", "renew", "--certificate", "/root/fresh.pem", "--private-key", "/root/fresh.key")
    assert "renewed: " in renewed
    assert (ready.root / PAIR[1][1:]).read_text() == new.key_pem()
    assert [access(ready, path) for path in PAIR] == before
    assert len(emulator.of("register")) == 2
    assert ready.is_active("dpsd.service")
    assert ready.attempt("dpsctl", "renew", "--certificate", "/root/fresh.pem", user="nobody").status == 78


def test_a_boot_finishes_a_renewal_that_was_cut_between_the_renames(ready: Machine, emulator: Emulator) -> None:
    old = [(ready.root / path[1:]).read_bytes() for path in PAIR]
    issue(ready, emulator)
    ready.run("dpsctl", "renew", "--certificate", "/root/fresh.pem", "--private-key", "/root/fresh.key")
    ready.run("cp", "-p", "/var/lib/dpsd/private/assignment.json", NOTED)
    ready.run("mv", PAIR[1], f"{PAIR[1]}.new")
    ready.run("cp", "-p", f"{PAIR[1]}.new", PAIR[1])
    (ready.root / PAIR[1][1:]).write_bytes(old[1])
    ready.run("sync")
    ready.cut()
    registered = len(emulator.of("register"))
    ready.boot()
    eventually(lambda: ready.is_active("dpsd.service"), "ready", within=60)
    assert ready.attempt("test", "-e", f"{PAIR[1]}.new").status == 1
    eventually(lambda: ready.attempt("test", "-e", NOTED).status == 1, "published")
    assert "credential-mismatch" not in ready.properties("dpsd.service")["StatusText"]
    assert ready.properties("dpsd-renewal.service")["Result"] == "success"
    assert len(emulator.of("register")) == registered
