"""A card that was moved to another board: the old identity is not used there."""

from __future__ import annotations

import subprocess

import pytest

from tests.emulator_process import ROOT
from tests.processes.board import Board, Daemon, environment
from tests.processes.firmware import on_board

pytestmark = pytest.mark.root


def provision(board: Board, serial_number: str) -> subprocess.CompletedProcess[str]:
    words = [*on_board(serial_number, board.folder), *board.command("dpsd.dpsctl", "provision")]
    return subprocess.run(words, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)


def test_on_another_board_the_old_identity_is_not_used(board: Board) -> None:
    assert provision(board, "10000000aaaa0001").returncode == 0
    before = board.connection.read_bytes()
    (board.run / "provisioned").unlink()
    with Daemon(board, within=on_board("10000000aaaa0002", board.folder)) as daemon:
        daemon.await_status("board-changed: the assignment in the state directory was made on board 10000000aaaa0001")
        assert "READY=1" not in daemon.notified
        assert not (board.run / "provisioned").exists()
        assert board.connection.read_bytes() == before


def test_back_in_its_board_the_card_is_ready_again(board: Board) -> None:
    assert provision(board, "10000000aaaa0001").returncode == 0
    assert provision(board, "10000000aaaa0002").returncode == 78
    assert provision(board, "10000000aaaa0001").returncode == 0


def test_reprovision_registers_as_the_new_board(board: Board) -> None:
    board.set("board.clone_guard", "reprovision")
    assert provision(board, "10000000aaaa0001").returncode == 0
    since = len(board.emulator.lines())
    assert provision(board, "10000000aaaa0002").returncode == 0
    assert "register" in [one["event"] for one in board.emulator.lines()[since:]]
