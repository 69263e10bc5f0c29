"""The recipes of docs/certificates.md by smallstep's own step and step-ca, as they stand but for folders and dates."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.emulator_process import next_address
from tests.processes.board import Board, Daemon, environment
from tests.processes.certificates import credential_of
from tests.processes.recipe import PAGE, enroll, recipe
from workshop.debian import roots

pytestmark = [pytest.mark.root, pytest.mark.full, pytest.mark.timeout(2400)]
AUTHORITY = """{{"root": "root.pem", "crt": "factory.pem", "key": "factory.key",
"address": "{0}:9000", "dnsNames": ["{0}"], "authority": {{"provisioners": []}}}}"""
SHORT = recipe("sh step").replace("8760h", "240h")
"""The recipe, with a certificate that is due."""


class Bench:
    """A device of step's recipe, and a shell that has step, and dpsctl for the device; the board is provisioned."""

    def __init__(self, board: Board, script: str = "", authority: str = "factory.pem") -> None:
        self.board = board
        programs = roots.made(roots.smallstep()) / "usr/local/bin"
        self.folder = board.folder / "bench"
        path = os.pathsep.join([str(programs), str(self.folder), os.environ["PATH"]])
        self.environment = {"PATH": path, "STEPPATH": str(self.folder / ".step")}
        enroll(board, authority, script or recipe("sh step"), self.environment)
        python, *words = board.command("dpsd.dpsctl")
        command = self.folder / "dpsctl"
        command.write_text(f'#!/bin/sh\nexec {shlex.join([python, *words[:2]])} "$@" {shlex.join(words[2:])}\n')
        command.chmod(0o755)
        self.provisioned = board.dpsctl("provision")

    def words_of(self, name: str) -> str:
        """Return a recipe with the bench in the place of the device's folders."""
        return recipe(name).replace("/etc/dpsd/device", f"{self.folder}/pi-0001").replace("/root/", f"{self.folder}/")

    def run(self, script: str) -> str:
        """Run a script to its end, which must be good, and return what it said."""
        ended = subprocess.run(
            ["sh", "-eu"], input=script, cwd=self.folder, env=environment(self.environment), text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    @contextmanager
    def started(self, words: list[str], ready: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program until the end, once it has said that it is ready."""
        log = self.folder / f"{words[0]}.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                words, cwd=self.folder, env=environment(self.environment), stdin=subprocess.DEVNULL, stdout=said,
                stderr=said,
            )  # fmt: skip
        try:
            end = time.monotonic() + 60
            while ready not in log.read_text():
                assert time.monotonic() < end and process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(60)

    @contextmanager
    def authority(self) -> Iterator[None]:
        """Run a step-ca that the device knows."""
        address = next_address()
        (self.folder / "ca.json").write_text(AUTHORITY.format(address))
        with self.started(["step-ca", "ca.json"], "Serving HTTPS"):
            known = f"url=https://{address}:9000\nfingerprint=$(step certificate fingerprint root.pem)\n"
            self.run(known + self.words_of("sh step bootstrap"))
            yield


@pytest.mark.parametrize("authority", ["root.pem", "factory.pem"])
def test_a_device_with_certificates_of_step_is_provisioned(board: Board, authority: str) -> None:
    bench = Bench(board, authority=authority)
    assert bench.provisioned.stdout.startswith("provisioned: pi-0001 at "), bench.provisioned.stderr


def test_the_page_says_what_it_was_run_with(board: Board) -> None:
    bench = Bench(board)
    for program in ("step", "step-ca"):
        version = re.findall(r"Smallstep \w+/(\S+)", bench.run(f"{program} version"))[0]
        assert f"{program} {version}" in " ".join(PAGE.split())


def test_a_certificate_that_is_due_is_renewed_and_registered(board: Board) -> None:
    bench = Bench(board, SHORT)
    before = credential_of(board), (bench.folder / "pi-0001.key").read_bytes()
    with bench.authority():
        assert "renewed: pi-0001 at " in bench.run(bench.words_of("sh step renew"))
    assert (bench.folder / "pi-0001.pem").read_bytes() == (bench.folder / "fresh.pem").read_bytes()
    assert credential_of(board) != before[0]
    assert (bench.folder / "pi-0001.key").read_bytes() == before[1]


def test_a_certificate_that_is_not_due_is_left(board: Board) -> None:
    bench = Bench(board)
    with bench.authority():
        assert "certificate not renewed" in bench.run(bench.words_of("sh step renew"))
    assert not (bench.folder / "fresh.pem").exists()


def test_what_the_daemon_of_step_writes_over_the_old_one_is_registered(board: Board) -> None:
    bench = Bench(board)
    words = shlex.split(bench.words_of("sh step daemon"))
    with bench.authority(), Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        before = credential_of(board)
        with bench.started(words, "first renewal in") as step:
            step.send_signal(signal.SIGHUP)
            daemon.await_(lambda: credential_of(board) != before, 100)
    assert "certificate renewed" in (bench.folder / "step.log").read_text()
