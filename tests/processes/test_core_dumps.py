"""An attempt that crashes with a key in its memory leaves nothing of it behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import canaries, sweep
from tests.emulator_process import ROOT, EmulatorProcess
from tests.processes.board import Board, Daemon

PATTERN = Path("/proc/sys/kernel/core_pattern").read_text().strip()
IN = ("sh", "-c", 'ulimit -c unlimited && cd "$0" && exec "$@"')
"""With the folder, words before a command that may leave core files there."""
AWAKE = "import os, sys; secret = sys.stdin.read(); {}; os.kill(os.getpid(), 11)"
LIMITED = "from dpsd.system.process import forbid_core_dumps as forbid; forbid()"
CANARY = "canary-in-the-memory-of-a-process"

needs_files = pytest.mark.skipif(PATTERN[:1] in "|/@", reason="this machine's core dumps go elsewhere")


def crash(folder: Path, statement: str) -> list[Path]:
    """Crash a process with the canary in its memory, and return the core files it left."""
    command = [*IN, str(folder), sys.executable, "-c", AWAKE.format(statement)]
    ended = subprocess.run(command, input=CANARY.encode(), env={**os.environ, "PYTHONPATH": os.getcwd()}, check=False)
    assert ended.returncode == -signal.SIGSEGV
    return list(folder.glob(f"{PATTERN}*"))


@needs_files
def test_a_core_file_would_hold_the_secret_and_be_found(tmp_path: Path) -> None:
    canaries.note(CANARY, "the canary")
    (core,) = crash(tmp_path, "pass")
    with pytest.raises(sweep.LeakError):
        sweep.check_files(tmp_path)
    core.unlink()


@needs_files
def test_no_core_file_is_written(tmp_path: Path) -> None:
    assert crash(tmp_path, LIMITED) == []


def test_an_attempt_that_crashes_leaves_no_core_file(board: Board, emulator: EmulatorProcess, tmp_path: Path) -> None:
    emulator.replace(faults=[{"on": "suback", "do": "silence"}])
    with Daemon(board, within=[*IN, str(tmp_path)]) as daemon:
        daemon.await_status("subscribing")
        _, attempt = sweep.family(daemon.process.pid)
        sweep.check_core_limit(attempt)
        os.kill(attempt, signal.SIGSEGV)
        daemon.await_status("worker-failed: the attempt ended with signal 11")
    assert not [path for path in tmp_path.iterdir() if "core" in path.name]


@pytest.mark.parametrize("unit", sorted((ROOT / "systemd").glob("*.service")), ids=lambda unit: unit.name)
def test_a_unit_whose_memory_holds_secrets_is_limited(unit: Path) -> None:
    text = unit.read_text()
    ours = re.search(r"^ExecStart=-?/usr/bin/(dpsd|dpsctl|python3)\b", text, re.MULTILINE)
    assert ("\nLimitCORE=1\n" in text) == (ours is not None)
