"""A board with a wrong clock: the clock is to blame, not the credential, and the daemon goes on once it is set."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="needs Debian's package faketime")


class FakeClock:
    """The wall clock that the processes with `environment` see; their other clocks are the real ones."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, moment: str) -> None:
        self._file.write_text(moment + "\n")


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[FakeClock]:
    clock = FakeClock(tmp_path / "clock")
    clock.set("@1970-01-02 00:00:00")
    yield clock


def test_daemon_waits_for_the_clock_and_goes_on_when_it_is_set(
    board: Board, clock: FakeClock, emulator: EmulatorProcess
) -> None:
    board.set("clock.wait", 3600)
    since = len(emulator.lines())
    with Daemon(board, extra=clock.environment) as daemon:
        daemon.await_status("clock-not-synchronized: the clock says 1970-01-02T")
        assert emulator.lines()[since:] == [], "nothing is sent"
        assert [path.name for path in board.state.rglob("*") if path.is_file()] == ["lock"], "and nothing written"
        clock.set("+0")
        daemon.await_notified("READY=1")
        assert board.status()["attempt"] == 2


def test_after_the_wait_it_tries_and_blames_the_clock(board: Board, clock: FakeClock) -> None:
    board.set("clock.wait", 1)
    with Daemon(board, extra=clock.environment) as daemon:
        daemon.await_status("clock-wrong: the clock says 1970-01-02T")
        assert "tls-certificate-dates" in board.status()["problem"]["sentence"]
        assert board.status()["problem"]["class"] == "clock"
        clock.set("+0")
        daemon.await_notified("READY=1")


def test_a_slow_clock_with_a_key_is_no_refused_credential(board: Board, clock: FakeClock) -> None:
    board.set("clock.wait", 0)
    assert board.dpsctl("provision").returncode == 0
    clock.set("-7200")  # the server's certificate is valid then, but a token of an hour is over when it is made
    with Daemon(board, extra=clock.environment) as daemon:
        daemon.await_notified("READY=1")
        daemon.signal(signal.SIGUSR1)
        daemon.await_status("clock-wrong: ")
        assert "dps-unauthorized" in board.status()["problem"]["sentence"]
        clock.set("+0")
        daemon.await_(lambda: board.status()["problem"] is None)


def test_a_person_in_the_foreground_does_not_wait(board: Board, clock: FakeClock) -> None:
    ended = board.dpsctl("provision", extra=clock.environment)
    assert ended.returncode == 75
    assert "dpsd: clock-wrong: " in ended.stderr
    assert "\nhint: set the clock" in ended.stderr


def test_a_clock_that_is_set_during_an_attempt_restarts_it(
    board: Board, clock: FakeClock, emulator: EmulatorProcess
) -> None:
    board.set("clock.wait", 0)
    clock.set("-3600")
    emulator.replace(faults=[{"on": "register-reply", "do": "delay", "seconds": 2}])
    with Daemon(board, extra=clock.environment) as daemon:
        daemon.await_status("registering with")
        clock.set("+0")
        daemon.await_status("clock-changed: the clock was set during the attempt")
        daemon.await_notified("READY=1")
