"""Failed attempts leave nothing behind: no descriptor, thread, process, byte of memory or file more."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.emulator_process import ROOT, EmulatorProcess
from tests.processes.bad_answers import FAILURES, WEBSOCKET_FAILURES, End, Row
from tests.processes.board import Board, Daemon, environment

FEW, MANY = 30, 1000
TIMES = pytest.mark.parametrize("times", [FEW, pytest.param(MANY, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
GROWTH_LIMIT = 256
"""KiB that the resident memory may differ by: the allocator's whim, and the outcomes that history.json may hold."""

ATTEMPTS = """
import gc, sys
from dpsd.provisioning.attempt import attempt
from dpsd.errors import Problem
from dpsd.state.places import Places
from dpsd.state.messages import Orders

for _ in sys.stdin:
    try:
        attempt(Places((sys.argv[1],)), None, Orders(), lambda event: None)
    except Problem as problem:
        code = problem.code
    gc.collect()
    print(code, flush=True)
"""
"""One attempt for each line, in one process; prints the problem's code. paho leaves the socket of a failed handshake to
the garbage collector."""


class Footprint(NamedTuple):
    """What a process holds; memory in KiB."""

    descriptors: int
    threads: int
    children: str
    memory: int


Table = Mapping[str, tuple[Row, End]]
Failing = Callable[[], str]
"""Makes one attempt and returns the code of its problem."""


def footprint(pid: int) -> Footprint:
    process = Path(f"/proc/{pid}")
    threads = list((process / "task").iterdir())
    memory = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    children = "".join((thread / "children").read_text() for thread in threads)
    return Footprint(len(list((process / "fd").iterdir())), len(threads), children, int(memory.split()[1]))


def check_unchanged(before: Footprint, after: Footprint) -> None:
    assert after[:3] == before[:3]
    assert after.memory - before.memory <= GROWTH_LIMIT


def files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return what is below a folder: inode, size and time of change by name."""
    stats = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def fail(times: int, failing: Failing, emulator: EmulatorProcess, table: Table = FAILURES) -> None:
    """Fail in one way after the other, in a mixed order, each time as the table says, and always the same at last."""
    failures = random.Random(1).sample(list(table.values()), len(table))
    for row, end in [*itertools.islice(itertools.cycle(failures), times), failures[0]]:
        emulator.replace(faults=[{**row, "times": 0}])
        assert failing() == end.code, row


@contextmanager
def failing_daemon(board: Board) -> Iterator[tuple[int, Failing]]:
    with Daemon(board) as daemon:
        daemon.await_(lambda: (board.run / "status.json").exists() and board.status()["finished"] > 0)

        def failing() -> str:
            finished = board.status()["finished"]
            for _ in range(2):  # The second ends what the first began.
                daemon.signal(signal.SIGUSR1)
            daemon.await_(lambda: bool(board.status()["finished"] > finished))
            daemon.await_(lambda: footprint(daemon.process.pid).children == "")
            return str(board.status()["problem"]["code"])

        yield daemon.process.pid, failing


@contextmanager
def failing_process(board: Board) -> Iterator[tuple[int, Failing]]:
    command = [sys.executable, "-c", ATTEMPTS, str(board.config)]
    pipe, buffered = subprocess.PIPE, 1
    with subprocess.Popen(command, buffered, None, pipe, pipe, env=environment(), cwd=ROOT, text=True) as process:
        assert process.stdin and process.stdout
        asking, answers = process.stdin, process.stdout

        def failing() -> str:
            asking.write("again\n")
            return answers.readline().strip()

        yield process.pid, failing
        asking.close()


@TIMES
def test_a_daemon_that_fails_again_and_again_stays_as_it_was(
    times: int, board: Board, emulator: EmulatorProcess
) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "drop", "times": 0}])
    with failing_daemon(board) as (pid, failing):
        fail(times // 3, failing, emulator)
        before, state, run = footprint(pid), files(board.state), files(board.run)
        fail(times, failing, emulator)
        check_unchanged(before, footprint(pid))
        assert files(board.state) == state
        assert files(board.run).keys() == run.keys()
        assert all(size < 4096 for _, size, _ in files(board.run).values())


@pytest.mark.mqtt
@TIMES
def test_attempts_in_one_process_leave_nothing_in_it(times: int, board: Board, emulator: EmulatorProcess) -> None:
    with failing_process(board) as (pid, failing):
        fail(times // 3, failing, emulator)
        before = footprint(pid)
        fail(times, failing, emulator)
        check_unchanged(before, footprint(pid))


@pytest.mark.mqtt
def test_attempts_over_websocket_leave_nothing_either(board: Board, emulator: EmulatorProcess) -> None:
    board.use_websocket()
    with failing_process(board) as (pid, failing):
        fail(FEW // 3, failing, emulator, WEBSOCKET_FAILURES)
        before = footprint(pid)
        fail(FEW, failing, emulator, WEBSOCKET_FAILURES)
        check_unchanged(before, footprint(pid))
