"""./dev bench: what dpsd costs, as ratios measured in one run on Debian 13's own python3 and packages."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from workshop.debian import deb, roots
from workshop.debian.nspawn import QUIET
from workshop.dev import environments, places
from workshop.dev.command import run
from workshop.dev.failure import Failure
from workshop.lab.boot import enter_lab
from workshop.lab.machine import install
from workshop.lab.network import Network

ADDRESS = "127.78.0.1"
PORT, RELAY_PORT = 8883, 9883
DELAY = 100
"""Milliseconds that the relay adds each way."""
RETRY_AFTER = 3
ROUND_TRIPS = 7
"""TCP, TLS (2), CONNECT, SUBSCRIBE, PUT, GET."""
DEVICE = "bench/emulator/devices/x509-group"
KEYED_DEVICE = "bench/emulator/devices/symmetric-group"
HERE = Path(__file__).parent


class Row(NamedTuple):
    """One line of the table: a measured figure, what it is compared with, and how high their ratio may be."""

    what: str
    figure: float
    reference: float
    unit: str
    bound: float

    @property
    def ratio(self) -> float:
        return self.figure / self.reference

    def __str__(self) -> str:
        verdict = "ok" if self.ratio <= self.bound else "ABOVE"
        figures = f"{self.figure:8.3f} / {self.reference:8.3f} {self.unit:4}"
        return f"{self.what:58} {figures} = {self.ratio:5.2f}  (at most {self.bound:4.2f}) {verdict}"


def bench(arguments: Sequence[str]) -> int:
    """Measure, print the table. The exit status: 1 when a ratio is above its bound."""
    enter_lab("make the Debian root in which is measured")
    disk = roots.overlay("bench", roots.made(roots.device("trixie")))
    try:
        with Network() as network:
            figures = measured(disk.root, network)
    finally:
        roots.discard(disk)
    rows = table(figures)
    print("\n".join(map(str, rows)))
    return 0 if all(row.ratio <= row.bound for row in rows) else 1


def measured(root: Path, network: Network) -> dict[str, Any]:
    """The raw figures of measure.py, run in `root` against an emulator in the same network."""
    install(root, deb.build())
    shutil.copytree(HERE, root / "bench")
    packages = environments.packages_with_dependencies(environments.AZURE)
    shutil.copytree(packages, root / "bench/azure-packages")
    run([*QUIET, f"--directory={root}", "python3", "-m", "compileall", "-q", "/bench"])
    with emulator(network, root / "bench/emulator") as service:
        for device in (DEVICE, KEYED_DEVICE):
            shutil.copy(service.listening["ca"], root / device / "ca.pem")

        def measure(what: str, port: int, device: str = DEVICE) -> dict[str, Any]:
            words = ["python3", "-I", "/bench/measure.py", what, f"{ADDRESS}:{port}", service.listening["idScope"]]
            nspawn = [*QUIET, "--console=pipe", f"--network-namespace-path={network.path}", f"--directory={root}"]
            printed = run([*nspawn, *words, f"/{device}"], timeout=600)
            figures: dict[str, Any] = json.loads(printed.splitlines()[-1])
            return figures

        figures, before = measure("costs", PORT), service.cpu()
        wire = measure("wire", RELAY_PORT)
        figures["door"] = measure("door", PORT, KEYED_DEVICE)
        return {**figures, "wire": wire, "service": (service.cpu() - before) / len(wire["first boots"])}


class Service(NamedTuple):
    """The emulator: what it said when it listened, and its process."""

    listening: dict[str, Any]
    process: int

    def cpu(self) -> float:
        """Seconds of CPU that it has used; it has one thread."""
        return int(Path(f"/proc/{self.process}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def emulator(network: Network, folder: Path) -> Iterator[Service]:
    """The emulator, whose first poll is answered with the assignment, and the slow relay before it."""
    python = environments.python_of(environments.demonstration())
    hubs = ("--hub", "127.78.0.2", "--hub", "127.78.0.3")
    words = [*network.enter, python, "-m", "dpsd.emulator", "--directory", folder, "--address", ADDRESS, *hubs]
    words += ["--port", PORT, "--websocket-port", 0, "--switch", "polls=0", "--switch", "poll-limit=0"]
    relay = [*network.enter, sys.executable, HERE / "relay.py", ADDRESS, RELAY_PORT, PORT, DELAY]
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        service = subprocess.Popen([str(word) for word in words], cwd=places.CHECKOUT, stdout=output)
    running = [service, subprocess.Popen([str(word) for word in relay])]
    try:
        line = first_line(log)
        yield Service(json.loads(line), service.pid)
    finally:
        for process in running:
            process.terminate()
            process.wait()


def first_line(log: Path, within: float = 30) -> str:
    """The first whole line of a log. Raises Failure when there is none in time."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        line, ended, _ = log.read_text().partition("\n")
        if ended:
            return line
        time.sleep(0.1)
    raise Failure("the emulator did not start", "see its last words above")


def table(figures: dict[str, Any]) -> list[Row]:
    def median(name: str, key: str) -> float:
        return statistics.median([float(run[key]) for run in figures[name]])

    boots, azure = figures["first boots"], figures["azure runs"]
    wire = figures["wire"]
    slow = statistics.median(run["wall"] - run["cpu"] for run in wire["first boots"]) - figures["service"]
    trips = RETRY_AFTER + ROUND_TRIPS * statistics.median(wire["round trips"])
    memory = max([figures["warm RSS"], *(run["RSS"] for run in boots)])
    warm, bare = statistics.median(figures["warm"]), statistics.median(figures["bare"])
    tokens = sorted(1000 * taken for taken in figures["door"]["requests"])
    cpu, peak = median("first boots", "cpu"), median("attempts", "peak")
    return [
        Row("warm boot, exec to READY=1, beside a bare script", warm, bare, "s", 3.5),
        Row("memory once ready, first boot included, beside 15 MiB", memory, 15, "MiB", 1),
        Row("CPU of a first boot, beside azure-iot-device", cpu, median("azure runs", "cpu"), "s", 1.2),
        Row("peak memory of an attempt, beside azure-iot-device", peak, max(run["peak"] for run in azure), "MiB", 1),
        Row("token door, a request, the median, beside 1 ms", statistics.median(tokens), 1, "ms", 1),
        Row("token door, 99 of 100 requests, beside 10 ms", tokens[len(tokens) * 99 // 100], 10, "ms", 1),
        Row("token door, memory while it is asked, beside 32 MiB", figures["door"]["RSS"], 32, "MiB", 1),
        Row("100 ms each way: first boot less CPU (emulator too), wire", slow, trips, "s", 1),
    ]
