"""The emulator as a process of its own, for tests that talk to it over sockets."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests import canaries

ROOT = Path(__file__).parent.parent
START_SECONDS = 30.0
WAIT_SECONDS = 15.0
POLL_SECONDS = 0.02


_LOT = 64 + secrets.randbelow(64)
_NUMBERS = itertools.cycle(range(1, 255))


def next_address() -> str:
    """Return an address of 127/8 that no other test process uses: a lot, the pid and a counter pick it.

    Process ids alone do not tell two runs apart, since each has its own.
    """
    return f"127.{_LOT}.{os.getpid() % 256}.{next(_NUMBERS)}"


class EmulatorProcess:
    """`python -m dpsd.emulator` on loopback addresses of its own, at the standard ports; a context manager.

    directory: where it keeps its files, `events.jsonl` and `errors.txt` (stdout and stderr) among them. hubs: names
    of hubs, with addresses or else at some of their own; none: two hubs that are named by their addresses.
    enrollments, faults: the contents of the files. switches: see `dpsd.emulator.switches`; retry-after is 1 s here
    unless a switch says so. address: DPS's, instead of one of its own. enter: the words before a command that is to
    run in another namespace.
    """

    def __init__(
        self,
        directory: Path,
        *,
        hubs: Iterable[str] | Mapping[str, str] = (),
        enrollments: Mapping[str, Any] | None = None,
        faults: Iterable[Mapping[str, Any]] = (),
        switches: Mapping[str, str | int] | None = None,
        port: int = 8883,
        websocket_port: int = 443,
        python: str = sys.executable,
        address: str = "",
        enter: Iterable[str] = (),
    ) -> None:
        self.directory = directory
        self.address = address or next_address()
        named = dict(hubs) if isinstance(hubs, Mapping) else {name: next_address() for name in hubs}
        self.hubs = named or {next_address(): "" for _ in range(2)}
        self.ca = directory / "ca.pem"
        self.port, self.websocket_port = port, websocket_port
        self._events, self._errors = directory / "events.jsonl", directory / "errors.txt"
        self._write(enrollments or {}, faults)
        self._command = [*enter, python, "-m", "dpsd.emulator", *self._options({"retry-after": 1, **(switches or {})})]
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: list[dict[str, Any]] = []
        self._read = 0

    def _options(self, switches: Mapping[str, str | int]) -> Iterator[str]:
        folder = self.directory
        yield from ("--directory", str(folder), "--address", self.address)
        yield from ("--port", str(self.port), "--websocket-port", str(self.websocket_port))
        yield from ("--enrollments", str(folder / "enrollments.json"), "--faults", str(folder / "faults.json"))
        for name, address in self.hubs.items():
            yield from ("--hub", f"{name}={address}" if address else name)
        for name, value in switches.items():
            yield from ("--switch", f"{name}={value}")

    def _write(self, enrollments: Mapping[str, Any], faults: Iterable[Mapping[str, Any]]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "enrollments.json").write_text(json.dumps(enrollments))
        (self.directory / "faults.json").write_text(json.dumps({"faults": list(faults)}))

    def __enter__(self) -> EmulatorProcess:
        self._lines, self._read = [], 0
        with self._events.open("wb") as events, self._errors.open("wb") as errors:
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=events, stderr=errors, cwd=ROOT, env=environment
            )
        try:
            line = self.wait_for("listening", timeout=START_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.port, self.websocket_port = line["port"], line["websocketPort"] or 0
        self.id_scope: str = line["idScope"]
        canaries.note_folder(self.directory)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it as systemd would; fails when it does not end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(WAIT_SECONDS)

    @property
    def returncode(self) -> int | None:
        """The exit status, once it has stopped."""
        return None if self._process is None else self._process.returncode

    def device(self, name: str) -> Path:
        """Return the folder of a ready-made device: x509-individual, symmetric-group, ..."""
        return self.directory / "devices" / name

    def replace(
        self, *, enrollments: Mapping[str, Any] | None = None, faults: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Put other files in place while it runs; what devices have registered stays."""
        assert self._process is not None
        since = len(self.lines())
        self._write(enrollments or {}, faults)
        self._process.send_signal(signal.SIGHUP)
        self.wait_for("reloaded", since=since)

    def lines(self) -> list[dict[str, Any]]:
        """Return the events so far."""
        with self._events.open("rb") as events:
            events.seek(self._read)
            *lines, _ = events.read().split(b"\n")
        self._lines += map(json.loads, lines)
        self._read += sum(len(line) + 1 for line in lines)
        return self._lines

    def wait_for(self, event: str, *, since: int = 0, timeout: float = WAIT_SECONDS, **fields: Any) -> dict[str, Any]:
        """Return the first event of that name with these fields, from the line number `since` on."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for line in self.lines()[since:]:
                if line["event"] == event and fields.items() <= line.items():
                    return line
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"no event {event} {fields}; {self.output()}")

    def output(self) -> str:
        """Return everything it has written to stdout and stderr."""
        return self._events.read_text() + self._errors.read_text()
