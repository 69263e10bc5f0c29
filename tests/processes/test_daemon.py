"""The daemon as a process: what it tells its manager, what it puts on disk, and what its signals do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from dpsd.state.files import PAYLOAD
from tests import canaries
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon

pytestmark = pytest.mark.mqtt


def test_first_boot_is_ready_when_the_files_are_there(board: Board) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        document = json.loads(board.connection.read_text())
        assert document["device_id"] == board.registration_id
        assert (board.run / "provisioned").exists()
        assert json.loads(board.dpsctl("status", "--json").stdout)["certificate"] is None
        where = f"{board.emulator.address}:{board.emulator.port}"
        assert f"STATUS=registering with {where} (attempt 1)" in daemon.notified
    assert daemon.process.returncode == 0
    assert daemon.board.status()["state"] == "stopped"


def test_second_boot_is_ready_without_a_packet(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    since, before = len(emulator.lines()), _fingerprint(board)
    (board.run / "provisioned").unlink()
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert _fingerprint(board) == before
    assert emulator.lines()[since:] == []


def test_published_files_have_the_modes_of_the_contract(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in board.state.rglob("*")}
    assert modes["connection.json"] == modes["connection.env"] == 0o644
    assert modes["private"] == 0o700
    assert modes["assignment.json"] == 0o600


def test_power_cut_after_the_record_is_repaired_at_the_next_start(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    board.connection.write_text("half a fi")
    (board.state / "connection.env").unlink()
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert json.loads(board.connection.read_text())["device_id"] == board.registration_id
        assert (board.state / "connection.env").exists()


def test_typo_waits_for_its_correction(board: Board) -> None:
    board.configure(id_scope='"0ne/1"')
    with Daemon(board) as daemon:
        daemon.await_status("configuration-invalid")
        assert daemon.process.poll() is None
        board.configure()
        daemon.await_notified("READY=1")


def test_late_roots_are_noticed(board: Board) -> None:
    roots = board.folder / "roots.pem"
    board.configure(trusted_roots=f'"{roots}"')
    with Daemon(board) as daemon:
        daemon.await_status("configuration-invalid")
        roots.write_bytes(board.emulator.ca.read_bytes())
        daemon.await_notified("READY=1")


def test_roots_that_others_may_write_are_refused_until_that_is_mended(board: Board) -> None:
    roots = board.folder / "roots.pem"
    roots.write_bytes(board.emulator.ca.read_bytes())
    roots.chmod(0o666)
    board.configure(trusted_roots=f'"{roots}"')
    refused = board.dpsctl("config")
    said = f"network.trusted_roots: {roots} may be written by others (mode 0666)\nhint: chmod go-w {roots}\n"
    assert (refused.returncode, refused.stderr) == (78, f"dpsd: configuration-insecure: {said}")
    with Daemon(board) as daemon:
        daemon.await_status("configuration-insecure")
        roots.chmod(0o644)
        daemon.await_notified("READY=1")


def test_typo_does_not_take_an_earlier_assignment_away(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    board.configure(id_scope='"0ne/1"')
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("provisioned by an earlier assignment; ")


def test_foreground_ends_with_78_on_a_wrong_configuration(board: Board) -> None:
    board.configure(id_scope="1")
    with Daemon(board, supervised=False) as daemon:
        assert daemon.process.wait(20) == 78
    assert "dpsd.toml:2: dps.id_scope: expected a string" in daemon.log.read_text()


def test_terminate_ends_within_a_second_while_registering(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "connack", "do": "silence", "times": 0}])
    with Daemon(board) as daemon:
        daemon.await_status("connecting to")
        started = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(5) == 0
        assert time.monotonic() - started < 1
    assert "STOPPING=1" in daemon.notified


def test_hangup_keeps_an_unchanged_assignment(board: Board, emulator: EmulatorProcess) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        since, before = len(emulator.lines()), _fingerprint(board)
        daemon.signal(signal.SIGHUP)
        daemon.await_notified("READY=1", times=2)
        assert daemon.notified.index("RELOADING=1") < len(daemon.notified) - daemon.notified[::-1].index("READY=1")
    assert _fingerprint(board) == before
    assert emulator.lines()[since:] == []


def test_usr1_registers_again_and_writes_nothing_new(board: Board, emulator: EmulatorProcess) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        since, before = len(emulator.lines()), _fingerprint(board)
        daemon.signal(signal.SIGUSR1)
        emulator.wait_for("register", since=since, client=board.registration_id)
        daemon.await_notified("READY=1", times=2)
    assert _fingerprint(board) == before


def test_secondary_key_is_tried_once_after_a_401(board: Board, emulator: EmulatorProcess) -> None:
    wrong, right = board.folder / "wrong.symkey", board.key
    board.write_key(wrong, "A" * 43 + "=")
    board.configure(primary_key_file=f'"{wrong}"', more=f'secondary_key_file = "{right}"')
    since = len(emulator.lines())
    assert board.dpsctl("provision").returncode == 0
    connects = [one["service"] for one in emulator.lines()[since:] if one["event"] == "connect"]
    assert connects == ["dps", "dps", "hub", "hub"]


def test_two_wrong_keys_are_two_connections(board: Board, emulator: EmulatorProcess) -> None:
    wrong = board.folder / "wrong.symkey"
    board.write_key(wrong, "A" * 43 + "=")
    board.configure(primary_key_file=f'"{wrong}"', more=f'secondary_key_file = "{wrong}"')
    since = len(emulator.lines())
    assert board.dpsctl("provision").returncode == 77
    connects = [one["service"] for one in emulator.lines()[since:] if one["event"] == "connect"]
    assert connects == ["dps", "dps"]


@pytest.mark.parametrize("state", ["attempting", "waiting", "provisioned"])
def test_the_watchdog_is_fed_in_each_state_and_the_daemon_sleeps_in_between(
    state: str, board: Board, emulator: EmulatorProcess
) -> None:
    if state == "attempting":
        emulator.replace(faults=[{"on": "connack", "do": "silence", "times": 0}])
    elif state == "waiting":
        board.configure(id_scope='"0ne/1"')
    with Daemon(board, extra={"WATCHDOG_USEC": "400000"}) as daemon:
        daemon.await_status({"attempting": "connecting", "waiting": "configuration-invalid"}.get(state, state))
        pings, spent = daemon.notified.count("WATCHDOG=1"), _processor_time(daemon.process.pid)
        daemon.await_notified("WATCHDOG=1", times=pings + 13)
        assert board.status()["state"] == state
        assert _processor_time(daemon.process.pid) - spent < 0.15


def _processor_time(pid: int) -> float:
    """Return the seconds that a process has run."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def test_killed_attempt_is_named_and_repeated(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "suback", "do": "silence"}])
    with Daemon(board) as daemon:
        daemon.await_status("subscribing")
        os.kill(_child(daemon.process.pid), signal.SIGKILL)
        daemon.await_status("worker-failed: the attempt ended with signal 9 while subscribing")
        daemon.await_notified("READY=1")


def test_unreadable_record_is_kept_aside(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    (board.state / "private/assignment.json").write_text('{"version": 0}')
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert (board.state / "private/assignment.json.unusable").read_text() == '{"version": 0}'


def test_a_record_of_a_newer_program_is_never_lost(board: Board) -> None:
    for number in (1, 2):
        assert board.dpsctl("provision").returncode == 0
        (board.state / "private/assignment.json").write_text(f'{{"version": 99, "number": {number}}}')
        with Daemon(board) as daemon:
            daemon.await_notified("READY=1")
        assert "dpsd: state-newer: " in daemon.log.read_text()
        kept = (board.state / f"private/assignment.json.newer-{number}").read_text()
        assert kept == f'{{"version": 99, "number": {number}}}'
    assert f"removed {board.state}/private/assignment.json.newer-2\n" in board.dpsctl("reset", "--yes").stdout


def test_history_keeps_the_last_outcomes(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "connect", "do": "drop"}])
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    outcomes = json.loads((board.state / "history.json").read_text())["outcomes"]
    assert [one["code"] for one in outcomes] == ["connection-lost"]  # the next write is due in an hour


def test_custom_payload_is_published_for_agents(board: Board, emulator: EmulatorProcess) -> None:
    canaries.note("CANARY-of-the-allocation", PAYLOAD)
    payload = {"secret": "CANARY-of-the-allocation"}
    emulator.replace(faults=[{"on": "poll-reply", "do": "reply", "state": {"payload": payload}}])
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    published = board.state / "payload.json"
    assert json.loads(published.read_text()) == payload
    assert published.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("payload", ["text", [1, "a"], 0, False])
def test_a_custom_payload_may_be_any_json_value(payload: object, board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "poll-reply", "do": "reply", "state": {"payload": payload}}])
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert json.loads((board.state / "payload.json").read_text()) == payload
    with Daemon(board) as daemon:  # by its record
        daemon.await_notified("READY=1")


def _fingerprint(board: Board) -> dict[str, tuple[int, int, bytes]]:
    names = ("connection.json", "connection.env", "private/assignment.json")
    stats = {name: (board.state / name).stat() for name in names}
    return {name: (found.st_ino, found.st_mtime_ns, (board.state / name).read_bytes()) for name, found in stats.items()}


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_second_daemon_leaves_the_first_ones_status_alone(board: Board) -> None:
    with Daemon(board) as first:
        first.await_notified("READY=1")
        with Daemon(board, supervised=False) as second:
            assert second.process.wait(20) == 75
        assert "dpsd: state-locked: " in second.log.read_text()
        assert board.status()["pid"] == first.process.pid
        assert board.dpsctl("status").returncode == 0


def test_record_of_another_configuration_is_not_enough(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    since = len(emulator.lines())
    other = Board(board.folder / "other", emulator)
    board.config = other.config
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert emulator.lines()[since]["client"] == other.registration_id
    assert json.loads(board.connection.read_text())["device_id"] == other.registration_id


def test_wiped_state_takes_the_flag_down(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    shutil.rmtree(board.state)
    emulator.replace(faults=[{"on": "connect", "do": "drop", "times": 0}])
    with Daemon(board) as daemon:
        daemon.await_status("connection-lost")
        assert not (board.run / "provisioned").exists()


def test_storm_of_signals_ends_with_the_last_one(board: Board) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        for _ in range(500):
            daemon.signal(signal.SIGHUP)
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(5) == 0
