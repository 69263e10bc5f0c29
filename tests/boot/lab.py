"""The laboratory: a device's disk, its configuration, its agents, and the emulator it talks to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpsd.emulator.files.authority import Issued, issue_device, load
from dpsd.state import files
from tests import canaries, sweep
from workshop.dev.failure import Failure
from workshop.lab.machine import Machine, eventually
from workshop.lab.network import Network

Layers = tuple[Path, ...]  # of a disk, the upper one first
Device = Callable[[Layers], Machine]  # makes a device with such a disk

DPS = "127.0.0.1"
HUB = "contoso.azure-devices.net"
HUB_ADDRESS = "127.0.0.2"
OTHER_HUB = "fabrikam.azure-devices.net"
OTHER_HUB_ADDRESS = "127.0.0.3"
READY = "/run/dpsd/provisioned"
PAYLOAD = {"secret": "CANARY-of-the-allocation"}

CONFIGURATION = """\
[dps]
id_scope = "{scope}"
global_endpoint = "127.0.0.1"

[credential]
type = "x509"
certificate_file = "/etc/dpsd/device.pem"
private_key_file = "/etc/dpsd/device.key"

[network]
trusted_roots = "/etc/dpsd/ca.pem"
[fleet]
volatile_window = 0
"""

# Sends one message to the hub, with nothing but what the daemon published, by a client that is not ours.
TELEMETRY = """\
[Unit]
After=dpsd-provisioned.target

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/var/lib/dpsd/connection.env
ExecStart=/usr/bin/mosquitto_pub --host ${IOTHUB_HOSTNAME} --port ${IOTHUB_MQTT_PORT} \\
    --id ${IOTHUB_DEVICE_ID} --username ${IOTHUB_MQTT_USERNAME} --protocol-version mqttv311 \\
    --cafile /etc/dpsd/ca.pem --cert ${X509_CERT_FILE} --key ${X509_KEY_FILE} --qos 1 \\
    --topic devices/${IOTHUB_DEVICE_ID}/messages/events/ --message hello-from-the-agent

[Install]
WantedBy=dpsd-provisioned.target
"""

# Runs for ever.
STEADY = """\
[Unit]
After=dpsd-provisioned.target

[Service]
ExecStart=/bin/sleep infinity

[Install]
WantedBy=dpsd-provisioned.target
"""
AGENTS = {"telemetry.service": TELEMETRY, "steady.service": STEADY}
WANTS = "etc/systemd/system/dpsd-provisioned.target.wants"


def add_agents(root: Path) -> None:
    """Put the agents on a disk, enabled as systemctl would."""
    (root / WANTS).mkdir()
    for name, text in AGENTS.items():
        (root / "etc/systemd/system" / name).write_text(text)
        (root / WANTS / name).symlink_to(f"/etc/systemd/system/{name}")


def add_names(root: Path) -> None:
    """Let the disk know the hubs' addresses, as DNS would."""
    hubs = f"{HUB_ADDRESS} {HUB}\n{OTHER_HUB_ADDRESS} {OTHER_HUB}\n"
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{hubs}")


def daemon_group(root: Path) -> int:
    """The id of the group dpsd on a disk."""
    return group_id(root, "dpsd")


def group_id(root: Path, name: str) -> int:
    """The id of a group on a disk."""
    return _id(root / "etc/group", name)


def user_id(root: Path, name: str) -> int:
    """The id of a user on a disk."""
    return _id(root / "etc/passwd", name)


def _id(table: Path, name: str) -> int:
    rows = (line.split(":") for line in table.read_text().splitlines())
    return next(int(fields[2]) for fields in rows if fields[0] == name)


def put(root: Path, name: str, data: bytes, mode: int = 0o644) -> None:
    """Put a file into /etc/dpsd, whole from the start, as root:dpsd; also while the device runs."""
    partial = root / "root" / name
    partial.write_bytes(data)
    partial.chmod(mode)
    os.chown(partial, 0, daemon_group(root))
    partial.rename(root / "etc/dpsd" / name)


class Emulator:
    """A DPS and two hubs on the standard ports of a network, and a device that is enrolled there."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self._log = folder / "exchanges.jsonl"
        self._enrollments = folder / "enrollments.json"
        self._process: subprocess.Popen[str] | None = None
        self.assign(HUB)

    def start(self) -> None:
        """Listen. Raises Failure when it does not within seconds."""
        command = [*self.network.enter, sys.executable, "-m", "dpsd.emulator", f"--directory={self.folder}"]
        options = [
            f"--address={DPS}",
            f"--hub={HUB}={HUB_ADDRESS}",
            f"--hub={OTHER_HUB}={OTHER_HUB_ADDRESS}",
            "--switch=retry-after=1",
            "--switch=poll-limit=0",
            f"--enrollments={self._enrollments}",
        ]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
            )
        eventually(self._listens, "the emulator listens")
        canaries.note_folder(self.folder)
        canaries.note(PAYLOAD["secret"], files.PAYLOAD)

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise Failure(f"the emulator does not start:\n{self._log.read_text()}", "")
        return bool(self.exchanges())

    def assign(self, hub: str) -> None:
        """Assign the device to a hub from now on, by a custom allocation, which also sends it a payload."""
        group = {
            "enrollmentGroupId": "x509-fleet",
            "allocationPolicy": "custom",
            "x-allocation": {"iotHubHostName": hub, "payload": PAYLOAD},
        }
        self._enrollments.write_text(json.dumps({"enrollmentGroups": [group]}))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Be gone."""
        assert self._process is not None
        self._process.terminate()
        self.resume()
        self._process.wait(10)
        self._process = None
        sweep.check(self._log.read_bytes(), "the emulator's log")

    def pause(self) -> None:
        """Accept connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def exchanges(self) -> list[dict[str, Any]]:
        """What it logged so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The exchanges of one kind."""
        return [exchange for exchange in self.exchanges() if exchange["event"] == event]

    def devices(self) -> set[tuple[str, str]]:
        """The hub and the id of each device that was assigned."""
        assigned = [exchange for exchange in self.exchanges() if exchange.get("registrationStatus") == "assigned"]
        return {(exchange["assignedHub"], exchange["deviceId"]) for exchange in assigned}

    def give_credential(self, root: Path) -> None:
        """Put the device's certificate with its intermediate, its key, and the CA to trust on a disk."""
        device = self.folder / "devices/x509-group"
        put(root, "ca.pem", (self.folder / "ca.pem").read_bytes())
        put(root, "device.pem", (device / "device.pem").read_bytes())
        put(root, "device.key", (device / "device.key").read_bytes(), 0o640)

    def configuration(self, store: str = "files") -> bytes:
        """A dpsd.toml for the device, with its credential in that store."""
        device = json.loads((self.folder / "devices/x509-group/device.json").read_text())
        text = CONFIGURATION.format(scope=device["idScope"])
        if store != "files":
            text = re.sub(r"(?m)^certificate_file = .*\nprivate_key_file = .*$", f'store = "{store}"', text)
        return text.encode()


def issue(machine: Machine, emulator: Emulator) -> Issued:
    """Put a new pair into root's folder on the device."""
    group = emulator.folder / "groups/x509-fleet"
    above = [(group / f"intermediate.{kind}").read_text() for kind in ("pem", "key")]
    new = issue_device("x509-group", load(*above))
    for name, text in (("fresh.pem", new.pem() + above[0]), ("fresh.key", new.key_pem())):
        path = Path(machine.root / "root" / name)
        path.touch(mode=0o600)
        path.write_text(text)
    return new
