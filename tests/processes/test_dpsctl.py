"""dpsctl as people and scripts use it, with and without the daemon."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon, environment


def test_status_and_show_before_anything_is_three(board: Board) -> None:
    assert board.dpsctl("status").returncode == 3
    shown = board.dpsctl("show")
    assert shown.returncode == 3
    assert "dpsd: not-provisioned: " in shown.stderr


def test_provision_shows_its_steps_and_says_who_and_where(board: Board) -> None:
    ended = board.dpsctl("provision")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"provisioned: {board.registration_id} at 127.")
    assert "dpsd: registering with 127." in ended.stderr


def test_provision_twice_registers_once(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    since = len(emulator.lines())
    assert board.dpsctl("provision").returncode == 0
    assert emulator.lines()[since:] == []
    assert board.dpsctl("provision", "--force").returncode == 0
    assert any(one["event"] == "register" for one in emulator.lines()[since:])


def test_provision_asks_the_daemon_that_holds_the_state(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "reply", "status": 401, "nth": 1}])
    with Daemon(board) as daemon:
        daemon.await_status("dps-unauthorized")
        ended = board.dpsctl("provision")
        assert ended.returncode == 0, ended.stderr
        assert "dpsd: registering with 127." in ended.stderr or "provisioned" in ended.stdout
        daemon.await_notified("READY=1")
        assert "already provisioned" in board.dpsctl("provision").stdout


def test_provision_by_the_daemon_returns_its_refusal(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "reply", "status": 401, "times": 0}])
    with Daemon(board) as daemon:
        daemon.await_status("dps-unauthorized")
        ended = board.dpsctl("provision")
    assert ended.returncode == 77
    assert "dpsd: dps-unauthorized: DPS answered 401" in ended.stderr


def test_reprovision_without_a_daemon_is_unavailable(board: Board) -> None:
    ended = board.dpsctl("reprovision")
    assert ended.returncode == 69
    assert "dpsd: not-running: " in ended.stderr


def test_reprovision_registers_again(board: Board, emulator: EmulatorProcess) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        since = len(emulator.lines())
        assert board.dpsctl("reprovision").returncode == 0
        emulator.wait_for("register", since=since, client=board.registration_id)


def test_wait_times_out_with_75(board: Board) -> None:
    assert board.dpsctl("wait", "--timeout", "1").returncode == 75


def test_wait_fails_on_refusal_when_asked_to(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "reply", "status": 401, "times": 0}])
    with Daemon(board):
        ended = board.dpsctl("wait", "--timeout", "30", "--fail-on-refusal")
    assert ended.returncode == 77


def test_wait_returns_when_provisioned(board: Board) -> None:
    with Daemon(board):
        assert board.dpsctl("wait", "--timeout", "30").returncode == 0
        status = json.loads(board.dpsctl("status", "--json").stdout)
    assert status["running"] and status["provisioned"]


def test_show_env_is_what_the_file_holds(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    assert board.dpsctl("show", "--format", "env").stdout == (board.state / "connection.env").read_text()
    assert json.loads(board.dpsctl("show").stdout) == json.loads(board.connection.read_text())


def test_config_prints_every_value_with_its_origin(board: Board) -> None:
    printed = board.dpsctl("config").stdout
    assert f'dps.id_scope = "{board.emulator.id_scope}"  # {board.config}:2\n' in printed
    assert 'network.transport = "mqtt"  # default\n' in printed
    assert f"# registration id: {board.registration_id}\n" in printed


def test_config_reports_all_faults_at_once(board: Board) -> None:
    board.configure(id_scope="1", registration_id='"Pi"', more='primary = "x"')
    ended = board.dpsctl("config")
    assert ended.returncode == 78
    assert ended.stderr.count("dpsd: configuration-invalid: ") == 2
    assert ended.stderr.count("hint: ") == 1


def test_json_error_is_an_object(board: Board) -> None:
    board.key.chmod(0o644)
    ended = board.dpsctl("provision", "--json")
    problem = json.loads(ended.stdout)
    assert (problem["code"], problem["exit_status"], ended.returncode) == ("credential-insecure", 78, 78)
    assert str(board.key) in problem["sentence"] and "chmod" in problem["hint"]


def test_wrong_usage_is_two() -> None:
    for words in ("dance", "status --dance", "wait --timeout", "wait --timeout soon", "agent x"):
        command = [sys.executable, "-m", "dpsd.dpsctl", *words.split()]
        ended = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert ended.returncode == 2, words
        assert "Traceback" not in ended.stderr
