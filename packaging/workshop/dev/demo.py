"""./dev demo: the main job on the embedded emulator, in the foreground, with each step shown.

Nothing is installed and nothing outside a temporary folder is touched; the emulator listens on loopback addresses of
its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workshop.dev import environments, places
from workshop.dev.failure import Failure

PORT = 8883
LIMIT = 60
"""Seconds that any step of the demonstration may take."""
SERVICE_EVENTS = ("connect", "register", "register-reply", "poll-reply", "message")
CONFIGURATION = """\
[dps]
id_scope = "{scope}"
global_endpoint = "{address}:{port}"
[credential]
type = "x509"
certificate_file = "{device}/device.pem"
private_key_file = "{device}/device.key"
[network]
trusted_roots = "{roots}"
[fleet]
volatile_window = 0
"""


def demo(arguments: Sequence[str]) -> int:
    """Run the demonstration. The exit status: 0 when the message has arrived."""
    python = environments.python_of(environments.demonstration())
    with tempfile.TemporaryDirectory(prefix="dpsd-demo-") as folder:
        return Demonstration(python, Path(folder)).run()


class Demonstration:
    """The parts of one run, all below `folder`."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python = python
        self.folder = folder
        self.network = f"127.77.{os.getpid() % 250 + 1}"
        self.emulator_log = folder / "emulator.log"
        self.running: list[subprocess.Popen[bytes]] = []

    def run(self) -> int:
        try:
            listening = self.start_emulator()
            self.start_daemon(listening)
            self.show_connection()
            return self.run_agent(Path(listening["ca"]))
        finally:
            for process in reversed(self.running):
                process.terminate()
                process.wait(LIMIT)

    def start_emulator(self) -> dict[str, Any]:
        headline("1. The emulator: a Device Provisioning Service and two IoT Hubs on loopback")
        hubs = [word for host in (2, 3) for word in ("--hub", f"{self.network}.{host}")]
        ports = ["--port", str(PORT), "--websocket-port", "0"]
        with self.emulator_log.open("wb") as log:
            self.start("dpsd.emulator", "--directory", self.folder / "emulator", "--address", f"{self.network}.1",
                       *hubs, *ports, stdout=log)  # fmt: skip
        self.await_("the emulator listens", lambda: self.events("listening"))
        listening = self.events("listening")[0]
        print(f"   DPS at {listening['address']}:{listening['port']}, id scope {listening['idScope']}")
        return listening

    def start_daemon(self, listening: dict[str, Any]) -> None:
        headline("2. The daemon in the foreground, with a fresh certificate: what it does, step by step")
        configuration = self.folder / "dpsd.toml"
        device = Path(listening["directory"]) / "devices/x509-group"
        configuration.write_text(
            CONFIGURATION.format(
                scope=listening["idScope"],
                address=listening["address"],
                port=listening["port"],
                device=device,
                roots=listening["ca"],
            )
        )
        state, runtime = self.folder / "state", self.folder / "run"
        folders = ("--state-dir", state, "--runtime-dir", runtime)
        self.start("dpsd", "--config", configuration, *folders, stderr=subprocess.STDOUT)
        self.await_("the device is provisioned", (runtime / "provisioned").exists)

    def show_connection(self) -> None:
        headline("3. connection.json, for the agents on this device")
        print((self.folder / "state/connection.json").read_text(), end="")

    def run_agent(self, roots: Path) -> int:
        headline("4. A sample agent, docs/examples/agent.py, with nothing but connection.env")
        lines = (self.folder / "state/connection.env").read_text().splitlines()
        values = {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
        agent = [self.python, places.CHECKOUT / "docs/examples/agent.py", roots]
        status = subprocess.run(agent, env={**os.environ, **values}, timeout=LIMIT, check=False).returncode
        if status == 0:
            self.await_("the message arrives", lambda: self.events("message"))
        headline("5. What the emulator saw")
        for event in self.events(*SERVICE_EVENTS):
            print("  ", described(event))
        headline("Done." if status == 0 else "The agent's message did not arrive.")
        return status

    def start(self, module: str, *arguments: str | Path, stdout: Any = None, stderr: Any = None) -> None:
        words = [self.python, "-m", module, *arguments]
        command = [str(word) for word in words]
        self.running.append(subprocess.Popen(command, cwd=places.CHECKOUT, stdout=stdout, stderr=stderr))

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The emulator's log lines of these events, in their order."""
        lines = self.emulator_log.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in found if event["event"] in names]

    def await_(self, what: str, holds: Any) -> None:
        """Wait until it holds. Raises Failure when it does not in time, or a program ended instead."""
        end = time.monotonic() + LIMIT
        while not holds():
            ended = [process for process in self.running if process.poll() is not None]
            if ended or time.monotonic() > end:
                said = f"; {ended[0].args!r} ended" if ended else f" within {LIMIT} s"
                raise Failure(f"it did not happen that {what}{said}", f"see what listens: ss -ltnp 'sport = {PORT}'")
            time.sleep(0.05)


def described(event: dict[str, Any]) -> str:
    """One line of what an event says that a person asks for."""
    wanted = (
        "client",
        "service",
        "status",
        "registrationStatus",
        "assignedHub",
        "retryAfter",
        "hub",
        "body",
        "payload",
    )
    return " ".join([f"{event['event']:15}", *(f"{key}={event[key]}" for key in wanted if event.get(key) is not None)])


def headline(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{plain}", flush=True)
