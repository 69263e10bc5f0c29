"""The units as systemd itself judges them."""

from __future__ import annotations

import pytest
from machine import Machine

from tests.boot.lab import Device, Layers

pytestmark = pytest.mark.root

EXPOSURE = {
    "dpsd.service": 11,
    "dpsd-connection.service": 12,
    "dpsd-keys@0.service": 16,
    "dpsd-renewal.service": 40,
    "dpsd-import.service": 24,
    "dpsd-import-usb@sda1.service": 28,
}  # tenths, as --threshold= counts


@pytest.fixture
def unconfigured(device: Device, installed: Layers) -> Machine:
    """A device with the package and nothing else."""
    machine = device(installed)
    machine.boot()
    return machine


def test_units_hold_before_systemd(unconfigured: Machine) -> None:
    units = unconfigured.run("sh", "-c", "ls -d /usr/lib/systemd/system/dpsd*").split()
    assert len(units) == 15
    assert unconfigured.attempt("systemd-analyze", "verify", "--man=no", *units) == (0, "")
    for service, exposure in EXPOSURE.items():
        security = ("systemd-analyze", "security", "--no-pager", f"--threshold={exposure}", service)
        assert unconfigured.attempt(*security).status == 0, service


def test_unconfigured_is_no_failure(unconfigured: Machine) -> None:
    daemon = unconfigured.properties("dpsd.service")
    assert (daemon["ActiveState"], daemon["Result"], daemon["ConditionResult"]) == (
        "inactive",
        "success",
        "no",
    )
    assert unconfigured.run("systemctl", "is-system-running").strip() == "running"
    assert unconfigured.run("id", "--name", "--groups", "dpsd").split() == ["dpsd", "dpsd-agents"]
