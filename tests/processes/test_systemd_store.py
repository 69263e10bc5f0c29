"""Credentials from systemd on a running daemon; the folder that systemd makes is the test's."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon


def registrations(emulator: EmulatorProcess, since: int = 0) -> list[str]:
    return [one["event"] for one in emulator.lines()[since:] if one["event"] == "register"]


def test_a_key_that_is_handed_over_anew_at_each_start_keeps_the_assignment(
    board: Board, emulator: EmulatorProcess
) -> None:
    since = len(emulator.lines())
    for _ in range(2):
        with Daemon(board, extra=board.use_systemd()) as daemon:
            daemon.await_notified("READY=1")
    assert len(registrations(emulator, since)) == 1
    assert "symmetric:" in json.loads((board.state / "private/assignment.json").read_text())["binding"]["credential"]


def test_another_key_must_register_and_until_then_the_earlier_assignment_holds(board: Board) -> None:
    with Daemon(board, extra=board.use_systemd()) as daemon:
        daemon.await_notified("READY=1")
    record = (board.state / "private/assignment.json").read_bytes()
    board.secret = "A" * 43 + "="
    with Daemon(board, extra=board.use_systemd()) as daemon:
        daemon.await_status("provisioned by an earlier assignment; ")
        daemon.await_status("dps-unauthorized")
    assert (board.state / "private/assignment.json").read_bytes() == record


@pytest.mark.parametrize("kind", ["symmetric_key", "x509"])
def test_files_on_disk_do_not_stand_in_for_what_is_not_handed_over(
    kind: str, board: Board, emulator: EmulatorProcess
) -> None:
    given, since = board.use_systemd(), len(emulator.lines())
    if kind == "x509":
        board.use_certificate()
        board.set_credential(store="systemd")
    shutil.rmtree(board.folder / "credentials")
    for name in ("certificate", "private_key", "primary_key"):
        board.write_key(board.folder / f"dpsd.{name}", board.secret)  # beside the configuration, under the same names
    assert "dpsd: credential-missing: systemd gave no dpsd." in board.dpsctl("provision", extra=given).stderr
    named = {"x509": "certificate_file", "symmetric_key": "primary_key_file"}[kind]
    board.set(f"credential.{named}", str(board.key))
    said = f"credential.{named}: does not belong to credential.store systemd"
    assert said in board.dpsctl("provision", extra=given).stderr
    assert "connect" not in [one["event"] for one in emulator.lines()[since:]]


def test_a_key_that_is_not_handed_over_leaves_the_earlier_assignment(board: Board) -> None:
    given = board.use_systemd()
    with Daemon(board, extra=given) as daemon:
        daemon.await_notified("READY=1")
    (board.folder / "credentials/dpsd.primary_key").unlink()
    with Daemon(board, extra=given) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("credential-missing: systemd gave no dpsd.primary_key")
