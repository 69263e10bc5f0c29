"""A registration that was cut in its middle goes on in the next attempt: the same operation is polled again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.bad_answers import POLL, Row
from tests.processes.board import Board, Daemon

pytestmark = pytest.mark.mqtt

LATER = {**POLL, "status": 202, "registrationStatus": "assigning", "retryAfter": "30"}


def requests(emulator: EmulatorProcess, board: Board) -> list[str]:
    """Return the board's requests in order: `register`, or the operation id that is polled."""
    lines = [line for line in emulator.lines() if line.get("client") == board.registration_id]
    return [
        line["event"] if line["event"] == "register" else parse_qs(line["topic"].partition("?")[2])["operationId"][0]
        for line in lines
        if line["event"] in ("register", "poll")
    ]


def provisioned_under(
    rows: Mapping[str, Sequence[Row]], folder: Path, emulator: EmulatorProcess
) -> Iterator[tuple[list[str], str]]:
    """Run a daemon under each name's rows, side by side, until all are ready; yield its requests and its log."""
    boards = [Board(folder / name, emulator) for name in rows]
    pairs = zip(rows.values(), boards, strict=True)
    emulator.replace(faults=[{**row, "client": board.registration_id} for some, board in pairs for row in some])
    with ExitStack() as stack, ThreadPoolExecutor(len(boards)) as pool:
        daemons = [stack.enter_context(Daemon(board)) for board in boards]
        list(pool.map(lambda daemon: daemon.await_notified("READY=1"), daemons))
    yield from ((requests(emulator, daemon.board), daemon.log.read_text()) for daemon in daemons)


def test_a_cut_registration_is_polled_on(tmp_path: Path, emulator: EmulatorProcess) -> None:
    rows: dict[str, Row] = {
        "after the reply": {"on": "register-reply", "do": "drop"},
        "after the acknowledgement": {"on": "acknowledge", "do": "reset"},
        "after the poll": {"on": "poll", "do": "drop"},
        "after its PUBACK": {"on": "puback", "do": "hang-up", "nth": 2},
        "in the outcome": {"on": "poll-reply", "do": "cut", "size": 9},
        "by a wrong body": {**POLL, "bodyCut": 9},
        "by a fault of the service": {**POLL, "status": 503},
        "by a throttled poll": {**POLL, "status": 429, "retryAfter": "1"},
    }
    for (register, *polls), log in provisioned_under({name: [row] for name, row in rows.items()}, tmp_path, emulator):
        assert (register, len(set(polls)), "register" in polls) == ("register", 1, False), log
        assert "(attempt 2)" in log and "(attempt 3)" not in log


def test_a_forgotten_operation_is_begun_anew_in_the_same_attempt(tmp_path: Path, emulator: EmulatorProcess) -> None:
    cut: Row = {"on": "register-reply", "do": "drop"}
    rows: dict[str, list[Row]] = {
        "404": [cut, {**POLL, "status": 404, "errorCode": 404201}],
        "404203": [cut, {**POLL, "status": 401, "errorCode": 404203}],
    }
    for (first, lost, second, found), log in provisioned_under(rows, tmp_path, emulator):
        assert (first, second) == ("register", "register")
        assert lost != found
        assert "(attempt 2)" in log and "(attempt 3)" not in log


def test_a_service_that_lost_its_memory_is_asked_anew(tmp_path: Path) -> None:
    with EmulatorProcess(tmp_path / "emulator", faults=[LATER], switches={"polls": 0}) as emulator:
        board = Board(tmp_path / "board", emulator)
        with Daemon(board) as daemon:
            daemon.await_status("asking again in 30 s")
            emulator.replace()
            emulator.stop()
            with emulator:
                daemon.await_notified("READY=1")
                assert [word == "register" for word in requests(emulator, board)] == [False, True, False]


def test_an_attempt_that_was_killed_is_resumed(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[LATER])
    with Daemon(board) as daemon:
        daemon.await_status("asking again in 30 s")
        children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text()
        os.kill(int(children.split()[0]), signal.SIGKILL)
        daemon.await_notified("READY=1")
    register, *polls = requests(emulator, board)
    assert (register, len(set(polls)), len(polls)) == ("register", 1, 2)


def test_the_operation_is_in_no_file(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[LATER])
    with Daemon(board) as daemon:
        daemon.await_status("asking again in 30 s")
        operation = requests(emulator, board)[1]
        places = [path for folder in (board.state, board.run) for path in folder.rglob("*") if path.is_file()]
        assert [path for path in places if operation in path.read_text()] == []
        daemon.signal(signal.SIGUSR1)
        daemon.await_notified("READY=1")
    assert requests(emulator, board).count("register") == 2, "who asks to register again gets a new operation"
