"""A new assignment is tried at its hub; one that is refused for long is asked for again."""

from __future__ import annotations

import json
import signal

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.bad_answers import REFUSED
from tests.processes.board import Board, Daemon

pytestmark = pytest.mark.mqtt


def services(emulator: EmulatorProcess, since: int) -> list[str]:
    return [one["service"] for one in emulator.lines()[since:] if one["event"] == "connect"]


@pytest.mark.parametrize("use", ["key", "certificate"])
def test_readiness_waits_for_the_hub_after_a_registration(use: str, board: Board, emulator: EmulatorProcess) -> None:
    if use == "certificate":
        board.use_certificate()
    emulator.replace(faults=[{**REFUSED, "times": 2}])
    with Daemon(board) as daemon:
        daemon.await_status("does not let the device in yet")
        assert (board.state / "private/assignment.json").exists()
        assert not board.connection.exists() and not (board.run / "provisioned").exists()
        daemon.await_notified("READY=1")
        assert board.connection.exists()


def test_a_hub_that_refuses_for_long_is_asked_for_again(board: Board, emulator: EmulatorProcess) -> None:
    board.set("hub.reprovision_after", 1)
    emulator.replace(faults=[{**REFUSED, "times": 4}])
    since = len(emulator.lines())
    with Daemon(board) as daemon:
        daemon.await_status("hub-refused: ")
        assert services(emulator, since) == ["dps", *["hub"] * 4]
        daemon.signal(signal.SIGHUP)
        daemon.await_notified("READY=1")
    assert services(emulator, since) == ["dps", *["hub"] * 4, "dps", "hub"]


def test_after_ready_the_files_stay_while_the_hub_refuses(board: Board, emulator: EmulatorProcess) -> None:
    board.set("hub.check", "after-ready")
    emulator.replace(faults=[{**REFUSED, "times": 0}])
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        before = board.connection.read_bytes()
        daemon.await_status("provisioned by an earlier assignment; waiting")
        assert board.status()["problem"]["code"] == "hub-refused"
        assert (board.run / "provisioned").exists()
        assert board.connection.read_bytes() == before


def test_off_asks_no_hub(board: Board, emulator: EmulatorProcess) -> None:
    board.set("hub.check", "off")
    since = len(emulator.lines())
    assert board.dpsctl("provision").returncode == 0
    assert services(emulator, since) == ["dps"]


def test_an_assignment_survives_a_cut_while_its_hub_is_tried(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{**REFUSED, "times": 0}])
    with Daemon(board) as daemon:
        daemon.await_status("does not let the device in yet")
        daemon.process.kill()
        daemon.process.wait()
    since = len(emulator.lines())
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert services(emulator, since) == []
    assert json.loads(board.connection.read_text())["device_id"] == board.registration_id


def test_in_the_foreground_a_refusing_hub_is_named(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{**REFUSED, "times": 0}])
    ended = board.dpsctl("provision")
    assert ended.returncode == 77
    assert "dpsd: hub-refused: " in ended.stderr
