"""What can be wrong on the device itself: each is a named problem of `dpsctl provision`, and nothing is contacted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.unit.authority import PASSPHRASE, make_certificate, make_key, pem_of, pem_of_key, put_secret

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)


def certificate(
    board: Board, common_name: str = "pi-1", key: bytes | None = None, since: int = -9, to: int = 9
) -> None:
    """Give the board a certificate of its own; since, to: days from now."""
    board.use_certificate()
    pem = pem_of(make_certificate(make_key("ec"), common_name, valid=(NOW + since * DAY, NOW + to * DAY)))
    certificate_file = board.folder / "device.pem"
    certificate_file.write_bytes(pem)
    key_file = put_secret(board.folder / "device.key", key or pem_of_key(make_key("ec")))
    board.set("credential.certificate_file", str(certificate_file))
    board.set("credential.private_key_file", key_file)


def writable_by_all(board: Board) -> None:
    board.config.chmod(0o666)


def a_key_for_all(board: Board) -> None:
    board.key.chmod(0o644)


def another_id(board: Board) -> None:
    certificate(board)
    board.set("dps.registration_id", "pi-2")


def no_payload_file(board: Board) -> None:
    board.set("dps.payload_file", "/nowhere.json")


def no_place_for_state(board: Board) -> None:
    board.state.symlink_to("/dev/null/state")


LOCAL: dict[str, tuple[Callable[[Board], object], int]] = {
    "configuration-missing": (lambda board: board.config.unlink(), 78),
    "configuration-invalid": (lambda board: board.configure(id_scope="7"), 78),
    "configuration-insecure": (writable_by_all, 78),
    "credential-missing": (lambda board: board.key.unlink(), 78),
    "credential-insecure": (a_key_for_all, 78),
    "credential-invalid": (lambda board: board.key.write_text("no base64!\n"), 78),
    "credential-encrypted": (lambda board: certificate(board, key=pem_of_key(make_key("ec"), PASSPHRASE)), 78),
    "credential-mismatch": (lambda board: certificate(board, key=pem_of_key(make_key("ec", 2))), 78),
    "certificate-expired": (lambda board: certificate(board, to=-1), 78),
    "registration-id-invalid": (lambda board: certificate(board, "pi 1"), 78),
    "registration-id-mismatch": (another_id, 78),
    "payload-invalid": (no_payload_file, 78),
    "state-unwritable": (no_place_for_state, 69),
}


@pytest.mark.parametrize("code", LOCAL)
def test_local_problem_is_named_before_anything_is_contacted(
    code: str, board: Board, emulator: EmulatorProcess
) -> None:
    prepare, exit_status = LOCAL[code]
    prepare(board)
    since = len(emulator.lines())
    ended = board.dpsctl("provision")
    assert f"dpsd: {code}: " in ended.stderr, ended.stderr
    assert "\nhint: " in ended.stderr and "Traceback" not in ended.stderr
    assert ended.returncode == exit_status
    assert emulator.lines()[since:] == []


def test_certificate_of_tomorrow_makes_the_clock_doubtful(board: Board) -> None:
    certificate(board, since=1)
    ended = board.dpsctl("provision")
    assert "dpsd: clock-wrong: the clock says " in ended.stderr
    assert "certificate-not-yet-valid: " in ended.stderr


def test_hub_that_is_not_allowed_is_not_written_down(board: Board) -> None:
    board.set("hub.allow", ["contoso-*.azure-devices.net"])
    ended = board.dpsctl("provision")
    assert "dpsd: assignment-not-allowed: " in ended.stderr
    assert ended.returncode == 77
    assert not board.connection.exists()


def test_hub_that_is_unavailable_is_named(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "connack", "do": "code", "code": 3, "service": "hub", "times": 0}])
    ended = board.dpsctl("provision")
    assert "dpsd: hub-unavailable: " in ended.stderr
    assert ended.returncode == 69


def test_an_address_that_is_none_is_a_failed_connection(board: Board) -> None:
    board.configure(global_endpoint='"255.255.255.255"')
    ended = board.dpsctl("provision")
    assert "dpsd: connection-failed: " in ended.stderr
    assert ended.returncode == 69


def test_damaged_connection_is_not_shown(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    board.connection.write_text("{")
    ended = board.dpsctl("show")
    assert "dpsd: state-unreadable: " in ended.stderr
    assert ended.returncode == 78


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enable units")
def test_unit_that_is_not_there_cannot_be_enabled(board: Board) -> None:
    ended = board.dpsctl("agent", "enable", f"no-such-unit-{time.time_ns()}")
    assert "dpsd: unit-invalid: " in ended.stderr
    assert ended.returncode == 78


@pytest.mark.mqtt
@pytest.mark.full
def test_assignment_that_takes_for_ever_ends_at_the_deadline(board: Board, emulator: EmulatorProcess) -> None:
    assigning = {"do": "reply", "status": 202, "retryAfter": "60", "registrationStatus": "assigning", "times": 0}
    emulator.replace(faults=[{"on": moment, **assigning} for moment in ("register-reply", "poll-reply")])
    with Daemon(board) as daemon:
        daemon.await_(lambda: any("attempt-deadline: " in one for one in daemon.notified), within=270)


def test_a_groups_key_on_a_device_is_refused(board: Board) -> None:
    board.use_group_key(allow=False)
    ended = board.dpsctl("provision")
    assert ended.returncode == 78
    assert "whoever reads one card can impersonate every device of the group" in ended.stderr


def test_a_groups_key_that_is_allowed_is_warned_of_at_every_attempt(board: Board) -> None:
    board.use_group_key(allow=True)
    for words in ((), ("--force",)):
        ended = board.dpsctl("provision", *words)
        assert ended.returncode == 0, ended.stderr
        assert "dpsd: warning: using a group's key; whoever reads this card" in ended.stderr


def test_a_configuration_that_is_named_is_missed_by_its_name(board: Board) -> None:
    board.config.unlink()
    assert f"dpsd: configuration-missing: {board.config} does not exist\n" in board.dpsctl("config").stderr
