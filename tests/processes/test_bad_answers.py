"""Everything a server can answer, right or wrong, ends in a result or in a named problem, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpsd.emulator.wire.faults import EFFECTS, MOMENTS
from tests.emulator_process import EmulatorProcess
from tests.processes.bad_answers import (
    FAILURES,
    HUB_FAILURES,
    REPLY,
    ROWS,
    SILENT,
    SURVIVED,
    WEBSOCKET_FAILURES,
    WEBSOCKET_SURVIVED,
    End,
    Row,
)
from tests.processes.board import Board, Daemon

pytestmark = pytest.mark.mqtt

ELSEWHERE = {
    **dict.fromkeys(("telemetry", "twin", "twin-reply"), "dpsd sends no message and reads no twin"),
    **dict.fromkeys(("unsubscribe", "unsuback"), "dpsd keeps its subscription to the end"),
    **dict.fromkeys(("ping", "pingresp"), "no attempt is quiet for the 60 s after which dpsd would send one"),
}
"""Moments and effects that tests/emulator uses, for what dpsd does not do."""


@pytest.mark.parametrize("name", FAILURES | HUB_FAILURES)
def test_bad_answer_is_a_named_problem(name: str, board: Board, emulator: EmulatorProcess) -> None:
    check_failure(*(FAILURES | HUB_FAILURES)[name], board, emulator)


@pytest.mark.parametrize("name", WEBSOCKET_FAILURES)
def test_bad_answer_over_websocket_is_a_named_problem(name: str, board: Board, emulator: EmulatorProcess) -> None:
    board.use_websocket()
    check_failure(*WEBSOCKET_FAILURES[name], board, emulator)


def check_failure(row: Row, end: End, board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{**row, "times": 0}])
    ended = board.dpsctl("provision")
    assert f"dpsd: {end.code}: " in ended.stderr, ended.stderr
    assert "\nhint: " in ended.stderr
    assert ended.returncode == end.exit_status
    assert "Traceback" not in ended.stderr
    assert not board.connection.exists()


def test_odd_answers_are_survived(tmp_path: Path, emulator: EmulatorProcess) -> None:
    ended = provision_under(SURVIVED, tmp_path, emulator)
    assert {name: one.stderr for name, one in ended.items() if one.returncode != 0} == {}
    assert all((tmp_path / name / "state/connection.json").exists() for name in SURVIVED)


def test_odd_frames_are_survived(tmp_path: Path, emulator: EmulatorProcess) -> None:
    ended = provision_under(WEBSOCKET_SURVIVED, tmp_path, emulator, Board.use_websocket)
    assert {name: one.stderr for name, one in ended.items() if one.returncode != 0} == {}


def test_tls_1_3_is_spoken(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "tls", "version": "1.3"}])
    assert board.dpsctl("provision").returncode == 0


def test_silence_at_any_packet_ends_in_no_answer(tmp_path: Path, emulator: EmulatorProcess) -> None:
    ended = provision_under(SILENT, tmp_path, emulator)
    assert {name: one.returncode for name, one in ended.items()} == dict.fromkeys(SILENT, 69)
    assert [name for name, one in ended.items() if "dpsd: no-answer: " not in one.stderr] == []


def provision_under(
    rows: Mapping[str, Row],
    folder: Path,
    emulator: EmulatorProcess,
    prepare: Callable[[Board], None] = lambda board: None,
) -> dict[str, CompletedProcess[str]]:
    """Run `dpsctl provision` for a board under each row, side by side."""
    boards = [Board(folder / name, emulator) for name in rows]
    for board in boards:
        prepare(board)
    pairs = zip(rows.values(), boards, strict=True)
    emulator.replace(faults=[{"times": 0, **row, "client": board.registration_id} for row, board in pairs])
    with ThreadPoolExecutor(len(boards)) as pool:
        return dict(zip(rows, pool.map(lambda board: board.dpsctl("provision"), boards), strict=True))


@pytest.mark.parametrize(
    ("status", "text", "shortest", "longest"),
    [
        (202, "61", 61, 122),
        (429, "100000", 86_400, 172_800),
        (503, None, 5, 10),
    ],
)
def test_the_service_says_when_to_try_again(
    status: int, text: str | None, shortest: float, longest: float, board: Board, emulator: EmulatorProcess
) -> None:
    emulator.replace(faults=[{**REPLY, "status": status, "retryAfter": text, "times": 0}])
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    with Daemon(board) as daemon:
        daemon.await_(lambda: (board.run / "status.json").exists() and bool(board.status()["next_try"]))
        moment = board.status()["next_try"]["boottime"]
        ended = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert began + shortest <= moment <= ended + longest


WAITS = 250.0
"""Seconds; two refusals in a row lead to waits of one minute and of two, at most."""


def test_a_throttled_fleet_comes_up_by_itself(tmp_path: Path) -> None:
    switches = {"register-limit": 1, "polls": 0}
    with EmulatorProcess(tmp_path / "emulator", switches=switches) as emulator:
        boards = [Board(tmp_path / name, emulator) for name in ("first", "second")]
        with Daemon(boards[0]) as first, Daemon(boards[1]) as second, ThreadPoolExecutor() as pool:
            list(pool.map(lambda daemon: daemon.await_(lambda: "READY=1" in daemon.notified, WAITS), (first, second)))
        refused = [line for line in emulator.lines() if line.get("errorCode") == 429001]
    assert 1 <= len(refused) <= 3


def test_every_fault_of_the_language_is_tried_on_dpsd() -> None:
    tried = {word for row in ROWS for word in (row["on"], row["do"])}
    assert tried | ELSEWHERE.keys() == {*MOMENTS, *EFFECTS}
    assert tried & ELSEWHERE.keys() == set()


def test_every_detail_of_the_language_is_tried_on_dpsd() -> None:
    tried = {(row["do"], name) for row in ROWS for name in row}
    known = {(do, name) for do, effect in EFFECTS.items() if do not in ELSEWHERE for name in effect.details}
    assert known - tried == set()


def test_a_failed_attempt_keeps_the_old_files(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    before = {path: path.read_bytes() for path in board.state.rglob("*.*") if path.is_file()}
    emulator.replace(faults=[{**REPLY, "status": 401, "times": 0}])
    assert board.dpsctl("provision", "--force").returncode == 77
    assert {path: path.read_bytes() for path in board.state.rglob("*.*") if path.is_file()} == before


def test_a_service_message_cannot_fake_a_line(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{**REPLY, "status": 401, "message": "x\nREADY=1\n<0>\x1b[2Jx" + "y" * 900}])
    stderr = board.dpsctl("provision").stderr
    assert "\nREADY=1" not in stderr and "\x1b" not in stderr
    assert "\\x0aREADY=1" in stderr
    assert max(map(len, stderr.splitlines())) < 400


def test_a_certificate_without_its_intermediates_gets_the_exact_hint(board: Board) -> None:
    board.use_certificate()
    chain = (board.emulator.device("x509-group") / "device.pem").read_text()
    alone = board.folder / "leaf.pem"
    alone.write_text(chain.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
    board.set("credential.certificate_file", str(alone))
    ended = board.dpsctl("provision")
    assert "dpsd: dps-unauthorized: DPS answered 401, error 401002: CA certificate not found." in ended.stderr
    assert "\nhint: append the intermediates to the certificate" in ended.stderr
