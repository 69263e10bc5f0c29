"""A board for tests: a folder with a configuration and a credential, and the two commands as processes of their own."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from dpsd.protocol.sas import derive_device_key, parse_key
from tests import canaries, sweep
from tests.emulator_process import ROOT, EmulatorProcess

LIMIT = 90.0
"""Seconds; a throttled board waits for a minute."""
_NUMBERS = itertools.count(1)


class Board:
    """One device of the emulator's symmetric group, with a registration id of its own."""

    def __init__(self, folder: Path, emulator: EmulatorProcess, registration_id: str = "") -> None:
        self.folder = folder
        self.emulator = emulator
        self.daemon = "dpsd"
        """The module that is run as the daemon."""
        self.enter: list[str] = []
        """The words before a command that is to run in another namespace."""
        self.registration_id = registration_id or f"board-{os.getpid()}-{next(_NUMBERS)}"
        self.config, self.key = folder / "dpsd.toml", folder / "device.symkey"
        self.state, self.run = folder / "state", folder / "run"
        self.connection = self.state / "connection.json"
        self.secret = self._derived_key()
        folder.mkdir(parents=True, exist_ok=True)
        self.write_key(self.key, self.secret)
        self.configure()

    def _derived_key(self) -> str:
        group = parse_key((self.emulator.directory / "groups/symmetric-fleet/primary.key").read_bytes())
        return base64.b64encode(derive_device_key(group, self.registration_id)).decode()

    def write_key(self, path: Path, key: str) -> None:
        canaries.note(key, f"what is in {path.name}", path)
        path.touch(mode=0o600)
        path.write_text(key + "\n")

    def configure(self, **replaced: str) -> None:
        """Write the configuration; replaced: TOML text by key, other than what a good board has.

        more, network: lines at the end of [credential] and [network].
        """
        values = {
            "id_scope": f'"{self.emulator.id_scope}"',
            "global_endpoint": f'"{self.emulator.address}:{self.emulator.port}"',
            "registration_id": f'"{self.registration_id}"',
            "primary_key_file": f'"{self.key}"',
            "trusted_roots": f'"{self.emulator.ca}"',
            "more": "",
            "network": "",
            "fleet": "volatile_window = 0",  # the tests' folders may be on an overlay
            **replaced,
        }
        self.config.write_text(
            "[dps]\nid_scope = {id_scope}\nglobal_endpoint = {global_endpoint}\nregistration_id = {registration_id}\n"
            '[credential]\ntype = "symmetric_key"\nprimary_key_file = {primary_key_file}\n{more}\n'
            "[network]\ntrusted_roots = {trusted_roots}\n{network}\n[fleet]\n{fleet}\n".format(**values)
        )

    def add(self, text: str) -> None:
        """Put more into the configuration."""
        self.config.write_text(f"{self.config.read_text()}{text}\n")

    def set(self, setting: str, value: str | int | list[str]) -> None:
        """Write the configuration with this value, whatever it had; setting: such as `hub.check`."""
        tables = self._tables()
        table, _, name = setting.partition(".")
        tables.setdefault(table, {})[name] = value
        self._render(tables)

    def set_credential(self, **values: str | int) -> None:
        """Write the configuration with nothing but these and the type in [credential]."""
        tables = self._tables()
        self._render({**tables, "credential": {"type": tables["credential"]["type"], **values}})

    def _tables(self) -> dict[str, dict[str, Any]]:
        return tomllib.loads(self.config.read_text())

    def _render(self, tables: dict[str, dict[str, Any]]) -> None:
        lines = []
        for table, values in tables.items():
            lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items()), ""]
        self.config.write_text("\n".join(lines))

    def use_certificate(self, device: str = "x509-group", network: str = "") -> None:
        """Be one of the emulator's ready-made devices with a certificate; network: lines at the end of [network]."""
        place = self.emulator.device(device)
        self.config.write_text(
            f'[dps]\nid_scope = "{self.emulator.id_scope}"\n'
            f'global_endpoint = "{self.emulator.address}:{self.emulator.port}"\n[credential]\ntype = "x509"\n'
            f'certificate_file = "{place}/device.pem"\nprivate_key_file = "{place}/device.key"\n'
            f'[network]\ntrusted_roots = "{self.emulator.ca}"\n{network}\n[fleet]\nvolatile_window = 0\n'
        )

    def use_own_certificate(self, certificate: str, key: str) -> None:
        """Have a certificate and its key in the board's folder."""
        self.use_certificate()
        self.set("credential.certificate_file", f"{self.folder}/device.pem")
        self.set("credential.private_key_file", f"{self.folder}/device.key")
        self.put("device.pem", certificate)
        self.put("device.key", key)

    def put(self, name: str, text: str) -> Path:
        """Put a file, readable by its owner alone, into the board's folder in one step."""
        path, born = self.folder / name, self.folder / f"{name}.born"
        born.touch(mode=0o600)
        born.write_text(text)
        if "PRIVATE KEY" in text:
            canaries.note(text, f"what is in {name}", path, born, Path(f"{path}.new"))
        return born.rename(path)

    def put_secret(self, name: str, text: str) -> Path:
        """Put a file with a secret, readable by its owner alone, into the board's folder in one step."""
        path = self.folder / name
        canaries.note(text, f"what is in {name}", path, self.folder / f"{name}.born")
        return self.put(name, text)

    def use_websocket(self) -> None:
        """Speak MQTT inside WebSocket; skips the test where its port is not permitted."""
        if not self.emulator.websocket_port:
            pytest.skip("port 443 is not permitted here")
        self.configure(network='transport = "websocket"')

    def use_group_key(self, allow: bool) -> None:
        """Have the key of the emulator's symmetric group on the device."""
        key = (self.emulator.directory / "groups/symmetric-fleet/primary.key").read_text().strip()
        self.write_key(self.folder / "group.symkey", key)
        self.set_credential(group_key_file=f"{self.folder}/group.symkey", allow_group_key=allow)

    def use_systemd(self) -> dict[str, str]:
        """Be given the key as systemd does; return the service's environment."""
        folder = self.folder / "credentials"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        canaries.note(self.secret, "systemd's credential", folder)
        (folder / "dpsd.primary_key").write_text(self.secret)
        self.set_credential(store="systemd")
        return {"CREDENTIALS_DIRECTORY": str(folder)}

    def command(self, module: str, *words: str) -> list[str]:
        places = ["--config", str(self.config), "--state-dir", str(self.state), "--runtime-dir", str(self.run)]
        return [*self.enter, sys.executable, "-m", module, *words, *places]

    def dpsctl(self, *words: str, extra: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run dpsctl to its end; extra: more of an environment."""
        ended = subprocess.run(
            self.command("dpsd.dpsctl", *words), env=environment(extra), cwd=ROOT, text=True, capture_output=True,
            timeout=LIMIT, check=False,
        )  # fmt: skip
        sweep.check_device(self.state, self.run)
        return ended

    def authentication(self) -> dict[str, Any]:
        """Return how connection.json tells agents to prove themselves, but for the certificate's thumbprint."""
        told: dict[str, Any] = json.loads(self.connection.read_text())["authentication"]
        told.pop("thumbprint", None)
        return told

    def mqtt(self) -> dict[str, Any]:
        """Return what connection.json says an MQTT client needs."""
        found: dict[str, Any] = json.loads(self.connection.read_text())["mqtt"]
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run / "status.json").read_text())
        return found


class Daemon:
    """`dpsd` under a service manager that is the test: its notifications are collected; a context manager.

    extra: more of an environment. within: a command that the daemon is the argument of.
    """

    def __init__(
        self, board: Board, *, supervised: bool = True, extra: dict[str, str] | None = None, within: Sequence[str] = ()
    ) -> None:
        self.board = board
        self.log = board.folder / "daemon.log"
        self.notified: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"\0dpsd-test-{os.getpid()}-{next(_NUMBERS)}"
        self._socket.bind(address)
        self._socket.setblocking(False)
        manager = {"NOTIFY_SOCKET": "@" + address[1:]} if supervised else {}
        with self.log.open("ab") as log:
            command, everything = [*within, *board.command(board.daemon)], environment({**manager, **(extra or {})})
            self.process = subprocess.Popen(command, env=everything, cwd=ROOT, stdout=log, stderr=log)
        self._processes = sweep.Processes(self.process.pid)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(LIMIT)
        self._collect()
        self._socket.close()
        sweep.check(self.log.read_bytes(), "the daemon's log")
        sweep.check_device(self.board.state, self.board.run)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def await_(self, holds: Callable[[], bool], within: float = LIMIT) -> None:
        """Wait until it holds, collecting notifications; fails with the daemon's log."""
        end = time.monotonic() + within
        while not holds():
            assert time.monotonic() < end, f"not within {within} s\n{self.notified}\n{self.log.read_text()}"
            self._collect()
            time.sleep(0.02)

    def await_notified(self, beginning: str, times: int = 1) -> None:
        self.await_(lambda: len([one for one in self.notified if one.startswith(beginning)]) >= times)

    def await_status(self, text: str) -> None:
        """Wait for a STATUS= with this in it that has not been waited for yet."""
        self.await_(lambda: any(text in one for one in self.notified if one.startswith("STATUS=")))

    def _collect(self) -> None:
        self._processes.look()
        while True:
            try:
                self.notified.append(self._socket.recv(4096).decode("ascii"))
            except BlockingIOError:
                return
            sweep.check(self.notified[-1], "a notification")


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of the commands: other packages that PYTHONPATH names go first, as `./dev test` wants it."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}
