"""The units as systemd itself judges them."""

from __future__ import annotations

import re

import pytest

from tests.boot.lab import Device, Layers
from workshop.dev import places
from workshop.lab.machine import Machine

pytestmark = pytest.mark.root

EXPOSURE = {
    "dpsd.service": "1.1",
    "dpsd-connection.service": "1.2",
    "dpsd-keys@0.service": "0.9",
    "dpsd-identity.service": "0.5",
    "dpsd-renewal.service": "1.5",
    "dpsd-import.service": "2.3",
    "dpsd-import-usb@sda1.service": "2.7",
}
"""What systemd-analyze says of each, the same on both releases; docs/security.md repeats some of it."""


@pytest.fixture
def unconfigured(device: Device, installed: Layers) -> Machine:
    """A device with the package and nothing else."""
    machine = device(installed)
    machine.boot()
    return machine


def test_units_hold_before_systemd(unconfigured: Machine) -> None:
    units = unconfigured.run("sh", "-c", "ls -d /usr/lib/systemd/system/dpsd*").split()
    assert len(units) == 17
    assert unconfigured.attempt("systemd-analyze", "verify", "--man=no", *units) == (0, "")
    found = {service: exposure(unconfigured, service) for service in EXPOSURE}
    assert found == EXPOSURE
    text = (places.CHECKOUT / "docs/security.md").read_text()
    told = [EXPOSURE[f"{name}.service"] for name in ("dpsd", "dpsd-keys@0", "dpsd-identity")]
    assert re.findall(r"`systemd-analyze security` gives (\d\.\d)", text) == told


def exposure(machine: Machine, service: str) -> str:
    """How exposed systemd finds a service: from 0.0 to 10.0, the less the better."""
    *_, overall = machine.run("systemd-analyze", "security", "--no-pager", service).splitlines()
    return overall.partition(f" for {service}: ")[2].split()[0]


def test_unconfigured_is_no_failure(unconfigured: Machine) -> None:
    daemon = unconfigured.properties("dpsd.service")
    assert (daemon["ActiveState"], daemon["Result"], daemon["ConditionResult"]) == (
        "inactive",
        "success",
        "no",
    )
    assert unconfigured.run("systemctl", "is-system-running").strip() == "running"
    assert unconfigured.run("id", "--name", "--groups", "dpsd").split() == ["dpsd", "dpsd-agents"]
