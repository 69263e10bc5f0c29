from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dpsd.emulator.switches import SWITCHES, Switches
from tests.emulator.registering import register
from tests.emulator_process import ROOT, EmulatorProcess, next_address


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where it must end by itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "dpsd.emulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)


def test_help_names_every_switch_and_effect() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert not [name for name in (*SWITCHES, "register-reply", "wrong-name") if name not in done.stdout]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--switch", "pols=1"],
        ["--switch", "polls=many"],
        ["--hub", "not/an/address"],
        ["--hub", "hub-a"],
        ["--port", "70000"],
        ["--address", "nowhere"],
    ],
)
def test_wrong_arguments_are_a_usage_error(arguments: list[str]) -> None:
    done = run("--port", "0", "--websocket-port", "0", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text", ["", "[]", '{"individualEnrollment":[]}', '{"linkedHubs":[{"name":"x"}]}', '{"faults":7}']
)
def test_a_wrong_file_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    done = run("--port", "0", "--websocket-port", "0", "--enrollments", str(file))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("dpsd-emulator: ")


def test_an_address_in_use_is_unavailable() -> None:
    with socket.create_server((next_address(), 0)) as taken:
        address, port = taken.getsockname()[:2]
        done = run("--address", address, "--port", str(port), "--websocket-port", "0")
    assert (done.returncode, done.stdout) == (69, "")


def test_port_0_picks_free_ports_for_all_addresses(folder: Path) -> None:
    with EmulatorProcess(folder, port=0, websocket_port=0) as emulator:
        assert emulator.port not in (0, emulator.websocket_port)
        written = json.loads((folder / "ports.json").read_text())
        assert written == {"address": emulator.address, "mqtt": emulator.port, "websocket": emulator.websocket_port}
        assert register(emulator, "x509-group")["status"] == "assigned"


def test_devices_keep_their_credentials_when_it_starts_again(folder: Path) -> None:
    with EmulatorProcess(folder) as emulator:
        before = {path: path.read_bytes() for path in sorted(folder.glob("devices/*/*.key"))}
    with EmulatorProcess(folder) as emulator:
        assert before == {path: path.read_bytes() for path in sorted(folder.glob("devices/*/*.key"))}
        assert register(emulator, "x509-individual")["status"] == "assigned"


def test_a_devices_file_says_all_that_a_client_needs(folder: Path) -> None:
    with EmulatorProcess(folder) as emulator:
        device = json.loads((folder / "devices/symmetric-group/device.json").read_text())
    assert (device["registrationId"], device["globalEndpoint"]) == ("symmetric-group", emulator.address)
    assert (device["idScope"], device["ports"]["mqtt"]) == (emulator.id_scope, emulator.port)
    assert Path(device["primaryKeyFile"]).exists() and Path(device["ca"]).exists()


def test_secret_files_are_their_owners_alone(folder: Path) -> None:
    with EmulatorProcess(folder):
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.key")}
    assert modes == {0o600}


def test_an_enrollments_file_is_put_over_the_ready_made_devices(folder: Path) -> None:
    entry = {"registrationId": "symmetric-individual", "provisioningStatus": "disabled"}
    with EmulatorProcess(folder, enrollments={"individualEnrollments": [entry]}) as emulator:
        assert register(emulator, "symmetric-individual")["status"] == "disabled"
        emulator.replace()
        assert register(emulator, "symmetric-individual")["status"] == "assigned"


def test_a_hub_may_have_a_name(folder: Path) -> None:
    with EmulatorProcess(folder, hubs=["hub-a.azure-devices.net"]) as emulator:
        assert register(emulator, "x509-group")["assignedHub"] == "hub-a.azure-devices.net"


def test_sigterm_ends_it_at_once_with_status_0(folder: Path) -> None:
    with EmulatorProcess(folder) as emulator:
        with socket.create_connection((emulator.address, emulator.port)):
            emulator.stop()
        assert emulator.returncode == 0


def test_a_switch_keeps_its_default() -> None:
    assert Switches().values == {name: switch.default for name, switch in SWITCHES.items()}


@pytest.mark.parametrize("text", ["polls", "polls=", "polls=-1", "polls=1x", "key-cache=maybe", "=", "polls=\u0661"])
def test_a_wrong_switch_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Switches([text])
