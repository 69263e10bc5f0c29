"""A sealed credential, and another one that takes its place only once it has provisioned."""

from __future__ import annotations

import base64
import json
import shutil
import signal

import pytest

from dpsd.keys.seal import parse_seal
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.processes.seals import STRANGER, other_key, places, put


def in_use(board: Board) -> str:
    """The fingerprint of the credential in the place of the sealed one, which the record must be bound to."""
    found = parse_seal((board.state / "private/credential.sealed").read_bytes()).header.fingerprint
    assert json.loads((board.state / "private/assignment.json").read_text())["binding"]["credential"] == found
    return found


@pytest.fixture
def sealed(board: Board) -> Board:
    """A board with its key sealed, and in no file."""
    board.set_credential(store="sealed")
    board.key.unlink()
    return board


@pytest.fixture
def provisioned(sealed: Board) -> Board:
    put(sealed, sealed.secret)
    assert sealed.dpsctl("provision").returncode == 0
    return sealed


def test_what_was_sealed_while_the_daemon_waits_brings_the_device_up(sealed: Board) -> None:
    with Daemon(sealed) as daemon:
        daemon.await_status("seal-missing")
        put(sealed, sealed.secret)
        daemon.await_notified("READY=1")
    secret = base64.b64decode(sealed.secret)
    everything = [path.read_bytes() for path in sealed.folder.rglob("*") if path.is_file()]
    assert not [text for text in everything if secret in text or sealed.secret.encode() in text]


def test_a_warm_boot_does_not_open_it(provisioned: Board, emulator: EmulatorProcess) -> None:
    since = len(emulator.lines())
    shutil.rmtree(places(provisioned).keys)
    with Daemon(provisioned) as daemon:
        daemon.await_notified("READY=1")
        assert provisioned.status()["attempt"] == 0
    assert emulator.lines()[since:] == []


def test_a_tampered_one_is_named_and_the_device_stays_ready(provisioned: Board) -> None:
    path = provisioned.state / "private/credential.sealed"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with Daemon(provisioned) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("seal-damaged")


def test_a_candidate_that_is_taken_replaces_the_old_one(provisioned: Board) -> None:
    candidate = provisioned.state / "private/candidate.sealed"
    with Daemon(provisioned) as daemon:
        daemon.await_notified("READY=1")
        fingerprint = put(provisioned, other_key(provisioned))
        assert candidate.exists() and in_use(provisioned) != fingerprint
        daemon.signal(signal.SIGHUP)
        daemon.await_(lambda: not candidate.exists())
        daemon.await_(lambda: provisioned.status()["state"] == "provisioned")
        assert provisioned.status()["problem"] is None
    assert in_use(provisioned) == fingerprint


def test_a_refused_candidate_leaves_the_old_one_in_use_and_is_told(
    provisioned: Board, emulator: EmulatorProcess
) -> None:
    before = (provisioned.connection.read_bytes(), in_use(provisioned))
    put(provisioned, STRANGER)
    for _ in range(2):
        with Daemon(provisioned) as daemon:
            daemon.await_notified("READY=1")
            daemon.await_status("provisioned by an earlier assignment; ")
            assert (provisioned.run / "provisioned").exists()
            told = provisioned.dpsctl("status").stdout
            assert "problem: dps-unauthorized: the newly sealed credential: " in told
            assert "or drop what is new: sudo dpsctl seal --discard" in told
        assert (provisioned.connection.read_bytes(), in_use(provisioned)) == before
        assert (provisioned.state / "private/candidate.sealed").exists()
        assert daemon.notified.index("READY=1") < next(
            n for n, one in enumerate(daemon.notified) if "newly sealed" in one
        )


def test_a_candidate_that_the_hub_refuses_does_not_change_the_record(
    provisioned: Board, emulator: EmulatorProcess
) -> None:
    before = in_use(provisioned)
    emulator.replace(faults=[{"on": "connack", "do": "code", "code": 5, "service": "hub", "times": 9}])
    put(provisioned, other_key(provisioned))
    with Daemon(provisioned) as daemon:
        daemon.await_status("hub-refused: the newly sealed credential: ")
    assert in_use(provisioned) == before


def test_where_the_old_one_is_refused_the_candidate_takes_its_turn(sealed: Board) -> None:
    put(sealed, sealed.secret)
    assert sealed.dpsctl("provision").returncode == 0
    fingerprint = put(sealed, other_key(sealed))
    (sealed.state / "private/credential.sealed").write_bytes(b"{}\n")
    ended = sealed.dpsctl("provision")
    assert (ended.returncode, "dpsd: seal-damaged: " in ended.stderr) == (78, True)
    with Daemon(sealed) as daemon:
        daemon.await_status("waiting, attempt 2 in 0 s; seal-damaged")
        daemon.await_(lambda: not (sealed.state / "private/candidate.sealed").exists())
    assert in_use(sealed) == fingerprint


def test_in_the_foreground_both_are_tried(provisioned: Board) -> None:
    fingerprint = put(provisioned, other_key(provisioned))
    assert provisioned.dpsctl("provision").returncode == 0
    assert in_use(provisioned) == fingerprint
    put(provisioned, STRANGER)
    ended = provisioned.dpsctl("provision")
    assert (ended.returncode, "the newly sealed credential" in ended.stderr) == (77, True)
    assert in_use(provisioned) == fingerprint


def test_a_cut_between_record_and_promotion_is_rolled_forward_offline(
    provisioned: Board, emulator: EmulatorProcess
) -> None:
    private = provisioned.state / "private"
    old = (private / "credential.sealed").read_bytes()
    fingerprint = put(provisioned, other_key(provisioned))
    candidate = (private / "candidate.sealed").read_bytes()
    assert provisioned.dpsctl("provision").returncode == 0
    for name, data in (("credential.sealed", old), ("candidate.sealed", candidate)):
        (private / name).touch(0o600)
        (private / name).write_bytes(data)
    since = len(emulator.lines())
    with Daemon(provisioned) as daemon:
        daemon.await_notified("READY=1")
        assert in_use(provisioned) == fingerprint and not (private / "candidate.sealed").exists()
        daemon.await_(lambda: provisioned.status()["state"] == "provisioned")
    assert emulator.lines()[since:] == []
