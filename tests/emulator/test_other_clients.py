"""The oracle from outside: clients that share no code with us register, connect and send."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests import azure_sdk
from tests.emulator.registering import password, register
from tests.emulator_process import EmulatorProcess


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("symmetric-individual", "mqtt"),
        ("symmetric-group", "websocket"),
        ("x509-individual", "websocket"),
        ("x509-group", "mqtt"),
    ],
)
def test_microsofts_sdk_registers_and_uses_its_hub(emulator: EmulatorProcess, name: str, transport: str) -> None:
    if transport == "websocket" and not emulator.websocket_port:
        pytest.skip("the SDK knows port 443 only, which is not permitted here")
    where = [str(emulator.device(name)), emulator.address, emulator.id_scope, str(emulator.ca), transport]
    done = azure_sdk.run(Path(__file__).with_name("azure_device.py"), *where)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["status"], outcome["device"], outcome["hub"] in emulator.hubs) == ("assigned", name, True)
    assert outcome["twin"] == {"desired": {"$version": 1}, "reported": {"transport": transport, "$version": 2}}
    assert emulator.wait_for("connect", client=name, service="dps")["transport"] == transport
    assert emulator.wait_for("message", client=name)["body"] == f"hello from {name} over {transport}"


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="needs mosquitto-clients")
@pytest.mark.parametrize("name", ["x509-group", "symmetric-individual"])
def test_mosquitto_sends_a_message_to_the_hub(emulator: EmulatorProcess, name: str) -> None:
    hub, since = register(emulator, name)["assignedHub"], len(emulator.lines())
    command = ["mosquitto_pub", "-h", hub, "-p", str(emulator.port), "--cafile", str(emulator.ca), "-V", "mqttv311"]
    login = ["-i", name, "-u", f"{hub}/{name}/?api-version=2021-04-12"]
    message = ["-q", "1", "-t", f"devices/{name}/messages/events/", "-m", f"mosquitto {time.time()}"]
    subprocess.run([*command, *login, *_credential(emulator, name, hub), *message], check=True, timeout=20)
    assert emulator.wait_for("message", since=since, client=name)["body"] == message[-1]


def _credential(emulator: EmulatorProcess, name: str, hub: str) -> list[str]:
    secret = password(emulator, name, f"{hub}/devices/{name}")
    device = emulator.device(name)
    return ["-P", secret] if secret else ["--cert", str(device / "device.pem"), "--key", str(device / "device.key")]
