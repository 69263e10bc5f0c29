"""A certificate that comes to its end: it is said in STATUS=, the journal, status.json and by dpsctl, and used on."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

from dpsd.emulator.files.authority import DAY, Validity, issue_device, load
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon


def give_certificate(board: Board, end: timedelta, begin: timedelta = -DAY) -> None:
    """Give the board a certificate of the emulator's group that ends so long from now."""
    group = board.emulator.directory / "groups/x509-fleet"
    texts = [(group / f"intermediate.{kind}").read_text() for kind in ("pem", "key")]
    issued = issue_device(board.registration_id, load(*texts), Validity(begin, end))
    board.use_own_certificate(issued.pem() + texts[0], issued.key_pem())


def let_expire(board: Board) -> None:
    """Move the recorded dates into the past, as time does."""
    path = board.state / "private/assignment.json"
    record = json.loads(path.read_text())
    record["validity"] = {name: moment - 100 * 24 * 3600 for name, moment in record["validity"].items()}
    path.write_text(json.dumps(record))


def test_a_near_end_is_said_everywhere(board: Board) -> None:
    give_certificate(board, end=6.5 * DAY)
    with Daemon(board) as daemon:
        daemon.await_status("; certificate-ends-soon: the device certificate ends at ")
        assert any("in 6 days" in one for one in daemon.notified)
        assert board.status()["certificate"]["threshold"] == 7
        shown = board.dpsctl("status").stdout
    assert "\ncertificate: ends 20" in shown and "\nwarning: certificate-ends-soon: " in shown
    assert daemon.log.read_text().count("certificate-ends-soon: the device") == 1


def test_a_threshold_is_logged_once_in_a_boot(board: Board) -> None:
    give_certificate(board, end=6.5 * DAY)
    for boot, logged in (("first", 1), ("first", 1), ("second", 2)):
        if boot == "second":
            shutil.rmtree(board.run)
        with Daemon(board) as daemon:
            daemon.await_status("certificate-ends-soon")
        assert daemon.log.read_text().count("certificate-ends-soon: the device") == logged


def test_a_device_with_an_expired_certificate_is_ready_by_its_assignment_and_says_so(
    board: Board, emulator: EmulatorProcess
) -> None:
    give_certificate(board, end=50 * DAY)
    assert board.dpsctl("provision").returncode == 0
    let_expire(board)
    since = len(emulator.lines())
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("; certificate-expired: the device certificate expired at ")
        assert board.dpsctl("status").returncode == 0
    assert emulator.lines()[since:] == []


def test_what_an_attempt_says_of_the_end_is_not_said_twice(board: Board) -> None:
    give_certificate(board, end=50 * DAY)
    assert board.dpsctl("provision").returncode == 0
    let_expire(board)
    with Daemon(board) as daemon:
        daemon.await_status("; certificate-expired: the device certificate expired at ")
        give_certificate(board, end=-DAY, begin=-2 * DAY)
        assert board.dpsctl("reprovision").returncode == 0
        daemon.await_status("; certificate-expired: /")
        assert max(line.count("certificate-expired: ") for line in daemon.notified) == 1
        assert board.dpsctl("status").stdout.count("certificate-expired: ") == 1


def test_an_expired_certificate_is_tried_slowly_and_never_deleted(board: Board) -> None:
    give_certificate(board, end=-DAY, begin=-2 * DAY)
    certificate = Path(board.folder / "device.pem")
    before = certificate.read_bytes()
    with Daemon(board) as daemon:
        daemon.await_status("certificate-expired: ")
        assert board.status()["next_try"]["boottime"] > 0
        assert 300 <= int(board.status()["step"].split(" in ")[1].split()[0]) <= 600
        assert certificate.read_bytes() == before
        assert board.dpsctl("status").stdout.count("certificate-expired: ") == 1
        give_certificate(board, end=50 * DAY)
        daemon.await_notified("READY=1")
