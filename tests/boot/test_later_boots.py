"""A device that was provisioned once: its later boots, and its agents while the daemon comes and goes."""

from __future__ import annotations

import time

import pytest

from tests.boot.first_boot import PUBLISHED, FirstBoot, look
from tests.boot.lab import READY, WANTS, Device
from workshop.lab.machine import Machine, eventually
from workshop.lab.network import Network

pytestmark = pytest.mark.root

CONFIGURATION = "/etc/dpsd/dpsd.toml"


@pytest.fixture
def warm(device: Device, first_boot: FirstBoot) -> Machine:
    """A provisioned device, alone in its network, ready again."""
    machine = device(first_boot.layers)
    # It would try to reach the hub.
    (machine.root / WANTS / "telemetry.service").unlink()
    machine.boot()
    eventually(lambda: machine.is_active("steady.service"), "the agent runs")
    return machine


def test_ready_without_a_packet_and_with_the_same_files(warm: Machine, first_boot: FirstBoot, network: Network) -> None:
    assert warm.is_active("dpsd.service")
    assert {path: look(warm, path) for path in PUBLISHED} == first_boot.files
    assert network.packets() == 0
    assert warm.attempt("dpsctl", "status", user="nobody").status == 0


def test_agents_keep_their_process_whatever_happens_to_the_daemon(warm: Machine) -> None:
    agent = warm.properties("steady.service")["MainPID"]
    daemon = warm.properties("dpsd.service")["MainPID"]
    warm.run("systemctl", "restart", "dpsd.service")
    warm.run("systemctl", "kill", "--signal=KILL", "dpsd.service")
    eventually(lambda: is_another(warm, daemon), "the daemon is back after a crash")
    warm.run("systemctl", "stop", "dpsd.service")
    assert warm.properties("steady.service")["MainPID"] == agent != "0"
    assert warm.attempt("test", "-e", READY).status == 0


def test_a_stopped_agent_stays_so_when_units_are_read_again(warm: Machine) -> None:
    warm.run("systemctl", "stop", "steady.service")
    warm.run("systemctl", "daemon-reload")
    time.sleep(1)
    assert not warm.is_active("steady.service")


def is_another(machine: Machine, pid: str) -> bool:
    """Whether the daemon runs, ready, as another process that came after a crash."""
    daemon = machine.properties("dpsd.service")
    return daemon["ActiveState"] == "active" and daemon["MainPID"] != pid and daemon["NRestarts"] == "1"


@pytest.mark.full
def test_a_daemon_that_hangs_is_replaced(warm: Machine) -> None:
    warm.run("mkdir", "/run/systemd/system/dpsd.service.d")
    watch = "printf '[Service]\\nWatchdogSec=2\\nTimeoutAbortSec=1\\n' > /run/systemd/system/dpsd.service.d/watch.conf"
    warm.run("sh", "-c", watch)
    warm.run("systemctl", "daemon-reload")
    warm.run("systemctl", "restart", "dpsd.service")
    daemon = warm.properties("dpsd.service")["MainPID"]
    time.sleep(5)
    assert warm.properties("dpsd.service")["MainPID"] == daemon
    warm.run("systemctl", "kill", "--signal=STOP", "dpsd.service")
    eventually(lambda: is_another(warm, daemon), "the daemon was replaced")


def test_stopping_takes_no_second_and_lasts(warm: Machine) -> None:
    begin = time.monotonic()
    warm.run("systemctl", "stop", "dpsd.service")
    assert time.monotonic() - begin < 1
    time.sleep(2)  # longer than anything that might start it again
    assert warm.properties("dpsd.service")["ActiveState"] == "inactive"
    assert warm.properties("dpsd.service")["Result"] == "success"


def test_reload_applies_the_configuration_at_once(warm: Machine, first_boot: FirstBoot) -> None:
    warm.run("systemctl", "stop", "dpsd-configured.path")
    before = warm.properties("dpsd.service")["MainPID"]
    warm.run("sh", "-c", f"printf '[outputs]\\nenvironment = false\\n' >> {CONFIGURATION}")
    warm.run("systemctl", "reload", "dpsd.service")
    eventually(lambda: not published(warm, "connection.env"), "connection.env is gone")
    assert warm.properties("dpsd.service")["MainPID"] == before
    assert look(warm, PUBLISHED[0]) == first_boot.files[PUBLISHED[0]]


def test_an_edit_reloads_the_daemon(warm: Machine) -> None:
    before = warm.properties("dpsd.service")["MainPID"]
    warm.run("sh", "-c", f"printf '[outputs]\\nenvironment = false\\n' >> {CONFIGURATION}")
    eventually(lambda: not published(warm, "connection.env"), "connection.env is gone")
    assert warm.properties("dpsd.service")["MainPID"] == before


def published(machine: Machine, name: str) -> bool:
    """Whether the daemon publishes a file."""
    return machine.attempt("test", "-e", f"/var/lib/dpsd/{name}").status == 0
