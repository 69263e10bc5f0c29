"""Every program that dpsd starts, as the kernel was asked to start it: no secret is in an argument or a variable."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests import sweep
from tests.processes.board import LIMIT, Board, Daemon

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="not installed: strace")


def test_the_daemon_and_its_attempt(board: Board, tmp_path: Path) -> None:
    trace = traced(board, tmp_path)
    assert trace.count("execve(") >= 2 and '"attempt"' in trace


def test_the_command_that_signs(otp: Board, tmp_path: Path) -> None:
    assert '"hmac"' in traced(otp, tmp_path)


def traced(board: Board, folder: Path) -> str:
    """Provision under strace, and return all starts of programs, which have been searched."""
    trace = folder / "trace"
    strace = ["strace", "-f", "-qq", "-v", "-s", "100000", "-e", "trace=execve", "-o", str(trace)]
    with Daemon(board, within=strace) as daemon:
        daemon.await_notified("READY=1")
        _, *traced_ones = sweep.family(daemon.process.pid)
        os.kill(traced_ones[0], signal.SIGTERM)  # strace itself does not end by one
        daemon.process.wait(LIMIT)
    text = trace.read_text()
    sweep.check(text, "the arguments and environments of what was started")
    return text
