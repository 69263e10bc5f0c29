"""A renewer beside dpsd replaces certificate and key while the device is ready: what it put there is tried, and the
device stays what it is until the new one has registered."""

from __future__ import annotations

import json
import signal

import pytest

from dpsd.emulator.files.authority import Issued, issue_device, load
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.processes.certificates import chain, credential_of, intermediate, issue

MINUTE = 100.0
"""Seconds in which a look at the files of a ready device falls, and an attempt after it."""


@pytest.fixture
def first(board: Board) -> Issued:
    issued = issue(board)
    board.use_own_certificate(chain(board, issued), issued.key_pem())
    return issued


def replace(board: Board, issued: Issued, certificate: str = "") -> None:
    """Put a key, and its certificate or with it the chain, where the old ones are."""
    board.put("device.key", issued.key_pem())
    board.put("device.pem", certificate or chain(board, issued))


def replace_by_refused(board: Board) -> None:
    """Put a pair that no enrollment knows where the old one is."""
    stranger = issue_device(board.registration_id)
    replace(board, stranger, stranger.pem())


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


def test_a_certificate_that_is_refused_changes_nothing_and_is_said(board: Board, first: Issued) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        before = (board.connection.read_bytes(), credential_of(board))
        replace_by_refused(board)
        daemon.signal(signal.SIGHUP)
        daemon.await_status("provisioned by an earlier assignment; ")
        daemon.await_status("dps-unauthorized: ")
        assert (board.run / "provisioned").exists()
        assert (board.connection.read_bytes(), credential_of(board)) == before
        assert board.dpsctl("status").returncode == 0


def test_a_refused_certificate_leaves_the_next_boot_ready(board: Board, first: Issued) -> None:
    assert board.dpsctl("provision").returncode == 0
    before = (board.connection.read_bytes(), credential_of(board))
    replace_by_refused(board)
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("provisioned by an earlier assignment; waiting, ")
        assert board.status()["problem"]["code"] == "dps-unauthorized"
        assert (board.connection.read_bytes(), credential_of(board)) == before
