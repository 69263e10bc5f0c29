"""The token door as a process: real sockets, real users, real keys, and the emulator's hub takes what it gives."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dpsd.protocol.sas import parse_key, parse_token, verify_token
from tests import azure_sdk, canaries, sweep
from tests.emulator_process import ROOT, EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.processes.door import AGENT, Door
from tests.processes.firmware import use_firmware

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root connects as another user")


IDENTITY = b"GET /v1/identity HTTP/1.1\r\nHost: door\r\n\r\n"


@pytest.fixture
def provisioned(board: Board) -> Board:
    assert board.dpsctl("provision").returncode == 0
    return board


def check_token(text: str, board: Board, ttl: int = 3600) -> None:
    """Fail unless it is a token of the board at its hub."""
    connection = json.loads(board.connection.read_text())
    parsed = parse_token(text)
    assert verify_token(parsed, parse_key(board.secret.encode()))
    assert parsed.decode_resource() == f"{connection['iothub_hostname']}/devices/{board.registration_id}"
    assert abs(parsed.expiry - time.time() - ttl) < 30 and parsed.key_name is None


def test_a_token_and_all_that_connect_needs(provisioned: Board) -> None:
    mqtt = provisioned.mqtt()
    with Door(provisioned) as door:
        told = door.ask("POST", "/v1/token", '{"ttl": 600}').json()
        text = door.ask("GET", "/v1/token?format=text").body.decode()
        identity = door.ask("GET", "/v1/identity").json()
    check_token(told["token"], provisioned, 600)
    check_token(text, provisioned)
    assert (told["hostname"], told["client_id"], told["username"]) == (
        mqtt["host"],
        mqtt["client_id"],
        mqtt["username"],
    )
    assert identity == json.loads(provisioned.connection.read_text())


def use_files(board: Board) -> dict[str, str]:
    return {}


def use_sealed(board: Board) -> dict[str, str]:
    board.set_credential(store="sealed")
    assert board.dpsctl("seal", "--primary-key", str(board.key), "--source", "file").returncode == 0
    return {}


def use_systemd(board: Board) -> dict[str, str]:
    return board.use_systemd()


def use_otp(board: Board) -> dict[str, str]:
    use_firmware(board)
    return {}


def use_group(board: Board) -> dict[str, str]:
    board.use_group_key(allow=True)
    return {}


STORES: list[Callable[[Board], dict[str, str]]] = [use_files, use_sealed, use_systemd, use_otp, use_group]


@pytest.mark.parametrize("use", STORES)
def test_every_store_of_keys_signs_tokens(use: Callable[[Board], dict[str, str]], board: Board) -> None:
    extra = use(board)
    assert board.dpsctl("provision", extra=extra).returncode == 0
    with Door(board, extra) as door:
        check_token(door.ask("POST", "/v1/token").json()["token"], board)


def test_the_key_that_the_service_took_signs(board: Board, emulator: EmulatorProcess) -> None:
    board.write_key(board.folder / "second.symkey", board.secret)
    board.write_key(board.key, "A" * 43 + "=")
    board.set("credential.secondary_key_file", f"{board.folder}/second.symkey")
    assert board.dpsctl("provision").returncode == 0
    with Door(board) as door:
        check_token(door.ask("POST", "/v1/token").json()["token"], board)


def test_what_is_not_there_yet_is_said_and_noticed_once_it_is(board: Board) -> None:
    with Door(board) as door:
        early = [door.ask("POST", "/v1/token"), door.ask("GET", "/v1/identity")]
        assert [(one.status, one.json()["code"]) for one in early] == [(409, "not-provisioned")] * 2
        assert board.dpsctl("provision").returncode == 0
        check_token(door.ask("POST", "/v1/token").json()["token"], board)


def test_a_certificate_signs_no_tokens_and_the_answer_says_what_does(board: Board) -> None:
    board.use_certificate()
    assert board.dpsctl("provision").returncode == 0
    with Door(board) as door:
        refused = door.ask("POST", "/v1/token")
        identity = door.ask("GET", "/v1/identity").json()
    assert (refused.status, refused.json()["code"]) == (409, "token-needs-key")
    assert "connection.json" in refused.json()["hint"]
    assert identity["authentication"]["type"] == "x509"


def test_another_key_than_that_of_the_assignment_signs_nothing(provisioned: Board) -> None:
    with Door(provisioned) as door:
        check_token(door.ask("POST", "/v1/token").json()["token"], provisioned)
        provisioned.write_key(provisioned.key, "B" * 43 + "=")
        refused = door.ask("POST", "/v1/token")
        assert (refused.status, refused.json()["code"]) == (409, "not-provisioned")


def test_a_key_that_cannot_be_opened_is_named_and_may_be_mended(provisioned: Board) -> None:
    with Door(provisioned) as door:
        provisioned.key.rename(provisioned.folder / "aside")
        assert (found := door.ask("POST", "/v1/token")).status == 503
        assert found.json()["code"] == "credential-missing"
        (provisioned.folder / "aside").rename(provisioned.key)
        assert door.ask("POST", "/v1/token").status == 200


def test_a_clock_that_is_known_to_be_wrong_dates_no_token(provisioned: Board) -> None:
    record = provisioned.state / "private/assignment.json"
    told = json.loads(record.read_text())
    told["connection"]["assigned_at"] = "2999-01-01T00:00:00Z"
    record.write_text(json.dumps(told))
    with Door(provisioned) as door:
        refused = door.ask("POST", "/v1/token")
    assert (refused.status, refused.json()["code"], refused.headers["retry-after"]) == (503, "clock-untrusted", "30")


@needs_root
def test_only_whom_the_configuration_names_may_ask(provisioned: Board) -> None:
    with Door(provisioned) as door:
        assert door.ask("POST", "/v1/token", uid=AGENT).status == 200
        provisioned.set("doors.users", ["nobody"])
        refused = door.ask("POST", "/v1/token", uid=AGENT)
        assert (refused.status, refused.json()["code"]) == (403, "door-refused")
        assert door.ask("GET", "/v1/identity", uid=AGENT).status == 403
        assert door.ask("POST", "/v1/token").status == 200
        provisioned.set("doors.groups", ["root"])
        assert door.ask("POST", "/v1/token", uid=AGENT).status == 200
    assert f"token door: refused to uid {AGENT}, no service" in door.log.read_text()


@needs_root
def test_a_user_that_asks_often_waits_for_its_turns(provisioned: Board) -> None:
    """140 at once: 100 go through and 40 wait for up to 4 s; root is answered meanwhile."""
    with Door(provisioned) as door:
        door.ask("POST", "/v1/token")
        since = time.monotonic()
        waiting = [door.connect(AGENT) for _ in range(140)]
        for client in waiting:
            client.sendall(IDENTITY)
        assert door.ask("GET", "/v1/identity").status == 200
        statuses = [client.recv(15) for client in waiting]
        taken = time.monotonic() - since
        for client in waiting:
            client.close()
    assert statuses == [b"HTTP/1.1 200 OK"] * 140 and taken >= 3


@needs_root
def test_a_user_that_asks_without_end_is_told_when_to_come_again(provisioned: Board) -> None:
    with Door(provisioned) as door:
        waiting = [door.connect(AGENT) for _ in range(250)]
        for client in waiting:
            with contextlib.suppress(BrokenPipeError):
                client.sendall(IDENTITY)
        statuses = [client.recv(4096).partition(b"\r\n\r\n")[0] for client in waiting]
        for client in waiting:
            client.close()
        refused = [head for head in statuses if head.startswith(b"HTTP/1.1 429 ")]
        assert refused and all(b"Retry-After: " in head for head in refused)
        assert all(head.startswith(b"HTTP/1.1 200 OK") for head in statuses if head not in refused)


def test_lines_of_the_journal_count_and_show_no_token(provisioned: Board) -> None:
    with Door(provisioned) as door:
        for _ in range(5):
            door.ask("POST", "/v1/token", '{"ttl": 300}')
    lines = [line for line in door.log.read_text().splitlines() if line]
    assert lines == [f"dpsd: token for uid {os.geteuid()}, no service, for 300 s",
                     f"dpsd: token for uid {os.geteuid()}, no service: 4 more times"]  # fmt: skip


def test_the_service_leaves_when_it_is_idle_and_nobody_is_refused_meanwhile(provisioned: Board) -> None:
    with Door(provisioned) as door:
        assert door.ask("POST", "/v1/token").status == 200
        door.await_end()
        waiting = door.connect()
        waiting.sendall(b"GET /v1/token?format=text HTTP/1.1\r\nHost: door\r\n\r\n")
        door.start()
        assert waiting.recv(15) == b"HTTP/1.1 200 OK"
        waiting.close()


def test_no_request_is_lost_over_restarts(provisioned: Board) -> None:
    """Three clients ask without a pause while the service is stopped and started again and again."""
    with Door(provisioned) as door:
        ended, answers = threading.Event(), []

        def ask() -> None:
            while not ended.is_set():
                answers.append(door.ask("GET", "/v1/token?format=text").status)

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        for _ in range(10):
            before = len(answers)
            while len(answers) < before + 10:
                time.sleep(0.01)
            door.stop()
            door.start()
        ended.set()
        for client in clients:
            client.join()
    assert set(answers) == {200}


def test_a_request_that_is_arriving_is_still_answered_after_a_stop(provisioned: Board) -> None:
    with Door(provisioned) as door:
        slow = door.connect()
        slow.sendall(b"GET /v1/token?format=text HTTP/1.1\r\n")
        assert door.ask("GET", "/v1/identity").status == 200
        assert door.process is not None
        door.process.send_signal(signal.SIGTERM)
        slow.sendall(b"Host: door\r\n\r\n")
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        slow.close()
        door.await_end()


@pytest.mark.parametrize("sent", [b"", b"GET /v1/tok"])
def test_a_client_that_says_nothing_is_left_after_ten_seconds(sent: bytes, provisioned: Board) -> None:
    with Door(provisioned) as door, door.connect() as idle:
        idle.sendall(sent)
        begun = time.monotonic()
        said = idle.recv(64)
        assert time.monotonic() - begun > 9
        assert said == b"" if not sent else said.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_closes_its_side_still_gets_its_answer(provisioned: Board) -> None:
    with Door(provisioned) as door, door.connect() as client:
        client.sendall(b"GET /v1/identity HTTP/1.1\r\nHost: door\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(15) == b"HTTP/1.1 200 OK"


def read_event(stream: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n\n"):
        data += stream.recv(4096)
    return data


def test_who_follows_is_told_the_connection_and_each_change(provisioned: Board, emulator: EmulatorProcess) -> None:
    with Door(provisioned) as door, door.connect() as stream:
        stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: door\r\n\r\n")
        head, _, event = read_event(stream).partition(b"\r\n\r\n")
        assert b"Content-Type: text/event-stream" in head
        first = json.loads((event or read_event(stream)).split(b"data: ")[1])
        assert first == json.loads(provisioned.connection.read_text())
        provisioned.set("network.transport", "auto")
        provisioned.connection.write_text(json.dumps({**first, "device_id": "other"}))
        assert json.loads(read_event(stream).split(b"data: ")[1])["device_id"] == "other"


def test_a_recheck_is_an_order_on_disk_and_at_most_one_in_the_interval(provisioned: Board) -> None:
    order = provisioned.state / "private/recheck.json"
    with Door(provisioned) as door:
        assert door.ask("POST", "/v1/recheck").status == 202
        told = json.loads(order.read_text())
        assert (told["version"], told["by"]) == (1, f"uid {os.geteuid()}, no service")
        order.unlink()
        again = door.ask("POST", "/v1/recheck")
        assert (again.status, again.json()["code"]) == (429, "door-busy")
        assert 800 < int(again.headers["retry-after"]) <= 900
    assert not order.exists()


def test_a_recheck_reaches_a_daemon_that_runs(provisioned: Board, emulator: EmulatorProcess) -> None:
    with Daemon(provisioned) as daemon, Door(provisioned) as door:
        daemon.await_notified("READY=1")
        since = len(emulator.lines())
        assert door.ask("POST", "/v1/recheck").status == 202
        assert emulator.wait_for("connect", since=since)["service"] == "hub"
        daemon.await_notified("READY=1", times=2)
    assert not (provisioned.state / "private/recheck.json").exists()
    assert "register" not in [line["event"] for line in emulator.lines()[since:]]


def test_an_order_from_before_a_restart_is_carried_out(provisioned: Board, emulator: EmulatorProcess) -> None:
    with Door(provisioned) as door:
        assert door.ask("POST", "/v1/recheck").status == 202
    since = len(emulator.lines())
    with Daemon(provisioned) as daemon:
        daemon.await_notified("READY=1")
        assert emulator.wait_for("connect", since=since)["service"] == "hub"
    assert "register" not in [line["event"] for line in emulator.lines()[since:]]


def dpsctl_token(board: Board, *words: str) -> tuple[int, str]:
    """Run it to its end. The sweep for secrets looks into what dpsctl prints, and here that is one, on purpose."""
    command = board.command("dpsd.dpsctl", "token", *words)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
    return process.returncode, printed


def test_dpsctl_prints_a_token(provisioned: Board) -> None:
    with Door(provisioned):
        status, printed = dpsctl_token(provisioned, "--ttl", "300")
        assert status == 0
        check_token(printed.removesuffix("\n"), provisioned, 300)
        status, printed = dpsctl_token(provisioned, "--json")
        assert status == 0
        check_token(json.loads(printed)["token"], provisioned)


def test_dpsctl_says_why_there_is_no_token(board: Board) -> None:
    def outcome(*words: str) -> tuple[int, str]:
        ended = board.dpsctl("token", *words)
        return ended.returncode, ended.stderr.split(":")[1].strip()

    assert outcome() == (69, "door-unreachable")
    assert outcome("--ttl", "soon")[0] == 2
    with Door(board) as door:
        assert outcome() == (3, "not-provisioned")
        assert outcome("--ttl", "5") == (78, "door-request-invalid")
        board.use_certificate()
        assert board.dpsctl("provision").returncode == 0
        assert outcome() == (77, "token-needs-key")
        assert door.process is not None


def test_curl_gets_a_token(provisioned: Board) -> None:
    with Door(provisioned) as door:
        words = ["curl", "--silent", "--fail", "--unix-socket", door.path, "http://door/v1/token?format=text&ttl=900"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            check_token(curl.stdout.read(), provisioned, 900)
        posted = [*words[:-1], "--json", '{"ttl": 900}', "http://door/v1/token"]
        with subprocess.Popen(posted, stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            check_token(json.loads(curl.stdout.read())["token"], provisioned, 900)


def test_the_key_is_in_no_answer_and_not_in_the_environment(provisioned: Board) -> None:
    """The answers, the log, the environment and the arguments are swept by the fixtures; here the process itself."""
    key = parse_key(provisioned.secret.encode())
    with Door(provisioned) as door:
        for answer in (door.ask("POST", "/v1/token"), door.ask("GET", "/v1/identity"), door.ask("POST", "/v1/recheck")):
            for form in canaries.forms(provisioned.secret.encode()):
                assert form not in answer.body
        assert door.process is not None
        sweep.Processes(door.process.pid).look()
        assert key not in Path(f"/proc/{door.process.pid}/environ").read_bytes()


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
def test_the_lines_for_node_in_the_documents_get_a_token(provisioned: Board) -> None:
    text = (ROOT / "docs/agents.md").read_text()
    (lines,) = re.findall(r"```javascript\n(.*?)```", text, re.DOTALL)
    script = provisioned.folder / "ask.js"
    script.write_text(lines + "askToken(process.argv[2]).then((answer) => console.log(Object.keys(answer).join()));\n")
    with Door(provisioned) as door:
        ended = subprocess.run(["node", script, door.path], capture_output=True, text=True, check=True, timeout=30)
    assert ended.stdout.startswith("version,hostname,client_id,username,token,")


def test_microsofts_sdk_renews_its_token_from_the_door(provisioned: Board, emulator: EmulatorProcess) -> None:
    with Door(provisioned) as door:
        words = [door.path, str(emulator.ca)]
        ended = azure_sdk.run(Path(__file__).with_name("azure_token_agent.py"), *words)
    assert ended.returncode == 0, ended.stderr
    bodies = [line["body"] for line in emulator.lines() if line["event"] == "message"]
    assert bodies[-2:] == ["by the first token", "by the second token"]


def test_without_a_socket_of_systemds_it_does_not_start(board: Board) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dpsd.doors.service"], capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.returncode, "dpsd-identity.socket" in ended.stderr) == (1, True)
