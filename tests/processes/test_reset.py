"""dpsctl reset: only when it is meant, never beside the daemon, and afterwards the device is a new one."""

from __future__ import annotations

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon


def names(board: Board) -> set[str]:
    """The files that are there besides the logs of the test."""
    return {path.name for path in board.folder.rglob("*") if path.is_file() and path.suffix != ".log"}


def test_without_yes_it_only_says_what_it_would_do(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    before = names(board)
    ended = board.dpsctl("reset", "--credential")
    assert ended.returncode == 3
    assert f"would remove {board.state}/private/assignment.json\n" in ended.stdout
    assert f"would remove {board.key}\n" in ended.stdout
    assert names(board) == before


def test_what_would_be_removed_can_be_asked_for(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    asked, told = board.dpsctl("reset", "--dry-run"), board.dpsctl("reset", "--yes")
    assert (asked.returncode, asked.stderr, told.returncode) == (0, "", 0)
    *removed, last = told.stdout.splitlines()
    assert asked.stdout.splitlines() == [f"would remove {line.removeprefix('removed ')}" for line in removed]
    assert last.startswith("done; ")


def test_a_device_that_was_reset_registers_again(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    ended = board.dpsctl("reset", "--yes")
    assert ended.returncode == 0
    assert f"removed {board.connection}\n" in ended.stdout
    assert "removed is not erased on flash" in ended.stdout
    assert names(board) == {"dpsd.toml", "device.symkey", "lock"}
    since = len(emulator.lines())
    assert board.dpsctl("provision").returncode == 0
    assert "register" in [one["event"] for one in emulator.lines()[since:]]


def test_the_credential_goes_too_when_that_is_asked_for(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    assert f"removed {board.key}\n" in board.dpsctl("reset", "--credential", "--yes").stdout
    assert names(board) == {"dpsd.toml", "lock"}
    assert board.dpsctl("reset", "--yes").returncode == 0


def test_with_a_damaged_configuration_nothing_is_removed(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    before = names(board)
    board.config.write_text("[dps\n")
    assert board.dpsctl("reset", "--credential", "--yes").returncode == 78
    assert names(board) == before


def test_a_seal_goes_where_nothing_is_configured_yet(board: Board) -> None:
    assert board.dpsctl("seal", "--keep").returncode == 0
    board.config.unlink()
    said = board.dpsctl("reset", "--credential", "--yes")
    assert (said.returncode, f"removed {board.state}/private/credential.sealed\n" in said.stdout) == (0, True), said
    assert names(board) == {"device.symkey", "lock", "seal.lock"}


def test_a_running_daemon_is_not_reset(board: Board) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        ended = board.dpsctl("reset", "--yes")
        assert ended.returncode == 75
        assert "hint: stop the daemon first: systemctl stop dpsd" in ended.stderr
        assert board.connection.exists()
