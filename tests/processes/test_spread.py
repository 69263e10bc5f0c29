"""The first attempts of a fleet that starts together are spread; a board that is provisioned does not wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes.board import Board, Daemon


def test_the_first_attempt_waits_for_its_turn_and_the_second_goes(board: Board) -> None:
    board.configure(fleet="window = 3\nvolatile_window = 3")
    with Daemon(board) as daemon:
        daemon.await_status("fleet-spread: first attempts are spread over 3 s")
        daemon.await_notified("READY=1")
        assert board.status()["attempt"] == 2


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a tmpfs")
def test_a_volatile_state_directory_spreads_wider_and_says_so(board: Board, tmp_path: Path) -> None:
    board.state = Path("/dev/shm") / f"{board.registration_id}-{tmp_path.parent.name}"
    board.configure(fleet="")
    with Daemon(board) as daemon:
        daemon.await_status("fleet-spread: the state directory is on tmpfs, so that every boot is a first boot; ")
        assert "spread over 60 s" in board.status()["problem"]["sentence"]
