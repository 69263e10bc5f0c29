"""A renewer beside dpsd replaces certificate and key while the device is ready: what it put there is tried, and the
device stays what it is until the new one has registered."""

from __future__ import annotations

import json
import os
import signal

import pytest

from dpsd.emulator.authority import Issued, issue_device, load
from tests.emulator_process import EmulatorProcess
from tests.sockets.board import Board, Daemon

MINUTE = 100.0
"""Seconds in which a look at the files of a ready device falls, and an attempt after it."""


def issue(board: Board, name: str = "") -> Issued:
    """Issue a certificate for the board, or for somebody else, below the emulator's group."""
    return issue_device(name or board.registration_id, load(*intermediate(board)))


def intermediate(board: Board) -> tuple[str, str]:
    group = board.emulator.directory / "groups/x509-fleet"
    return (group / "intermediate.pem").read_text(), (group / "intermediate.key").read_text()


def chain(board: Board, issued: Issued) -> str:
    return issued.pem() + intermediate(board)[0]


@pytest.fixture
def first(board: Board) -> Issued:
    issued = issue(board)
    board.use_own_certificate(chain(board, issued), issued.key_pem())
    return issued


def credential_of(board: Board) -> str:
    """Return the fingerprint of the credential that the assignment is bound to."""
    record = json.loads((board.state / "private/assignment.json").read_text())
    return str(record["binding"]["credential"])


def test_files_replaced_one_after_the_other_are_registered(
    board: Board, first: Issued, emulator: EmulatorProcess
) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        since, before = len(emulator.lines()), (board.connection.read_bytes(), credential_of(board))
        new = issue(board)
        board.put("device.pem", chain(board, new))
        daemon.await_(lambda: "credential-mismatch" in "".join(daemon.notified), MINUTE)
        assert (board.run / "provisioned").exists()
        assert (board.connection.read_bytes(), credential_of(board)) == before
        board.put("device.key", new.key_pem())
        daemon.await_(lambda: credential_of(board) != before[1])
        daemon.await_(lambda: board.status()["problem"] is None)
        told = json.loads(board.connection.read_text())["authentication"]
        assert f"x509:{told['thumbprint']}" == credential_of(board)
    assert "register" in [one["event"] for one in emulator.lines()[since:]]


@pytest.mark.full
def test_a_certificate_written_over_in_place_is_registered(board: Board, first: Issued) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        before = credential_of(board)
        same_key = issue_device(board.registration_id, load(*intermediate(board)), key=first.key)
        (board.folder / "device.pem").write_text(chain(board, same_key))
        daemon.await_(lambda: credential_of(board) != before, MINUTE)


@pytest.mark.full
def test_a_new_certificate_is_noticed_after_a_warm_boot(board: Board, first: Issued) -> None:
    assert board.dpsctl("provision").returncode == 0
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        before = credential_of(board)
        new = issue(board)
        board.put("device.key", new.key_pem())
        board.put("device.pem", chain(board, new))
        daemon.await_(lambda: credential_of(board) != before, MINUTE)


def test_a_certificate_that_is_refused_changes_nothing_and_is_said(board: Board, first: Issued) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        before = (board.connection.read_bytes(), credential_of(board))
        stranger = issue_device(board.registration_id)
        board.put("device.key", stranger.key_pem())
        board.put("device.pem", stranger.pem())
        daemon.signal(signal.SIGHUP)
        daemon.await_status("provisioned by an earlier assignment; ")
        daemon.await_status("dps-unauthorized: ")
        assert (board.run / "provisioned").exists()
        assert (board.connection.read_bytes(), credential_of(board)) == before
        assert board.dpsctl("status").returncode == 0


@pytest.mark.full
def test_files_that_were_only_touched_register_nothing(board: Board, first: Issued, emulator: EmulatorProcess) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        since, finished = len(emulator.lines()), board.status()["finished"]
        os.utime(board.folder / "device.key")
        daemon.await_(lambda: board.status()["finished"] > finished, MINUTE)
        assert board.status()["problem"] is None
    assert emulator.lines()[since:] == []
