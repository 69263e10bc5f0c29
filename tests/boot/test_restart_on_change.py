"""Another IoT Hub restarts the agents that ask for it, when they run, and no others."""

from __future__ import annotations

import json
import time

import pytest

from tests.boot.first_boot import PUBLISHED, configure, look
from tests.boot.lab import HUB, OTHER_HUB, Device, Emulator, Layers
from workshop.debian.nspawn import run_in
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root

FOLLOWER, OTHER = "mosquitto.service", "steady.service"
SOON = "[Timer]\nOnActiveSec=\nOnActiveSec=1\nAccuracySec=100ms\n"
RESTARTING = "restarting the agents"


@pytest.fixture
def machine(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A device on its first boot, just provisioned; one agent was told to follow when the image was built."""
    machine = device(installed)
    configure(machine.root, emulator)
    run_in(machine.root, ["dpsctl", "agent", "enable", "--restart-on-change", "mosquitto"])
    machine.boot()
    eventually(lambda: machine.is_active(FOLLOWER) and machine.is_active(OTHER), "the agents run", within=60)
    return machine


def process(machine: Machine, unit: str) -> str:
    """The process of a unit, 0 where it does not run."""
    return machine.properties(unit)["MainPID"]


def restarts(machine: Machine) -> int:
    """How often agents were restarted in this boot."""
    return machine.run("journalctl", "--unit=dpsd-connection.service", "--output=cat").count(RESTARTING)


def move(machine: Machine, emulator: Emulator, hub: str) -> None:
    """Let DPS assign another hub."""
    emulator.assign(hub)
    machine.run("dpsctl", "provision", "--force")
    assert json.loads(look(machine, PUBLISHED[0]).content)["iothub_hostname"] == hub


def test_only_another_hub_restarts_an_agent(machine: Machine, emulator: Emulator) -> None:
    before = {path: look(machine, path) for path in PUBLISHED}
    follower, other = process(machine, FOLLOWER), process(machine, OTHER)
    move(machine, emulator, HUB)
    time.sleep(1)
    assert {path: look(machine, path) for path in PUBLISHED} == before
    assert (process(machine, FOLLOWER), restarts(machine)) == (follower, 0)
    move(machine, emulator, OTHER_HUB)
    eventually(lambda: process(machine, FOLLOWER) not in {follower, "0"}, "the agent was restarted")
    assert process(machine, OTHER) == other
    assert restarts(machine) == 1
    assert machine.run("systemctl", "is-system-running").strip() == "running"


def test_not_while_it_is_stopped_nor_once_the_flag_is_taken_back(machine: Machine, emulator: Emulator) -> None:
    machine.run("systemctl", "stop", FOLLOWER)
    move(machine, emulator, OTHER_HUB)
    eventually(lambda: restarts(machine) == 1, "the change was noticed")
    machine.run("dpsctl", "agent", "enable", "mosquitto")
    assert machine.properties(FOLLOWER)["ActiveState"] == "inactive"
    machine.run("systemctl", "start", FOLLOWER)
    follower = process(machine, FOLLOWER)
    move(machine, emulator, HUB)
    eventually(lambda: restarts(machine) == 2, "the change was noticed")
    time.sleep(1)
    assert process(machine, FOLLOWER) == follower


@pytest.mark.full
def test_a_change_that_the_path_unit_missed_is_seen_later(machine: Machine, emulator: Emulator) -> None:
    follower = process(machine, FOLLOWER)
    machine.run("systemctl", "stop", "dpsd-connection.path")
    move(machine, emulator, OTHER_HUB)
    drop_in = machine.root / "etc/systemd/system/dpsd-connection.timer.d/soon.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(SOON)
    machine.run("systemctl", "daemon-reload")
    assert process(machine, FOLLOWER) == follower
    machine.run("systemctl", "restart", "dpsd-connection.timer")
    eventually(lambda: process(machine, FOLLOWER) not in {follower, "0"}, "the agent was restarted")


@pytest.mark.full
def test_many_changes_end_neither_the_watch_nor_the_agent(machine: Machine, emulator: Emulator) -> None:
    follower = process(machine, FOLLOWER)
    change = f"echo $i >/root/new; mv /root/new {PUBLISHED[0]}; systemctl daemon-reload"
    machine.run("sh", "-c", f"for i in $(seq 30); do {change}; done")
    machine.run("systemctl", "start", "dpsd-connection.service")
    assert machine.properties("dpsd-connection.path")["ActiveState"] == "active"
    eventually(lambda: process(machine, FOLLOWER) not in {follower, "0"}, "the agent was restarted")
    move(machine, emulator, OTHER_HUB)
    assert machine.run("systemctl", "is-system-running").strip() == "running"


@pytest.mark.full
def test_a_pipe_in_the_place_of_the_connection_holds_nothing_up(machine: Machine) -> None:
    follower = process(machine, FOLLOWER)
    machine.run("runuser", "-u", "dpsd", "--", "sh", "-c", f"rm {PUBLISHED[0]}; mkfifo {PUBLISHED[0]}")
    machine.run("systemctl", "start", "dpsd-connection.service")
    assert process(machine, FOLLOWER) == follower
