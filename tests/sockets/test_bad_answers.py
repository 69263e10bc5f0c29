"""Everything a server can answer, right or wrong, ends in a result or in a named problem, over real sockets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.emulator_process import EmulatorProcess
from tests.sockets.board import Board

REPLY = {"on": "register-reply", "do": "reply"}
POLL = {"on": "poll-reply", "do": "reply"}

FAULTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "cut after CONNECT": ({"on": "connect", "do": "drop"}, "connection-lost", 69),
    "cut after CONNACK": ({"on": "connack", "do": "drop"}, "connection-lost", 69),
    "cut after SUBSCRIBE": ({"on": "subscribe", "do": "drop"}, "connection-lost", 69),
    "cut after SUBACK": ({"on": "suback", "do": "drop"}, "connection-lost", 69),
    "cut after register": ({"on": "register", "do": "drop"}, "connection-lost", 69),
    "cut after PUBACK": ({"on": "puback", "do": "drop"}, "connection-lost", 69),
    "cut after the first reply": ({"on": "register-reply", "do": "drop"}, "connection-lost", 69),
    "cut after the poll": ({"on": "poll", "do": "drop"}, "connection-lost", 69),
    "cut in the middle of a reply": ({"on": "register-reply", "do": "cut", "size": 9}, "connection-lost", 69),
    "hung up after CONNECT": ({"on": "connect", "do": "hang-up"}, "connection-lost", 69),
    "CONNACK 1": ({"on": "connack", "do": "code", "code": 1}, "mqtt-rejected", 77),
    "CONNACK 2": ({"on": "connack", "do": "code", "code": 2}, "mqtt-rejected", 77),
    "CONNACK 3": ({"on": "connack", "do": "code", "code": 3}, "mqtt-unavailable", 69),
    "CONNACK 4": ({"on": "connack", "do": "code", "code": 4}, "mqtt-unauthorized", 77),
    "CONNACK 5": ({"on": "connack", "do": "code", "code": 5}, "mqtt-unauthorized", 77),
    "SUBACK 0x80": ({"on": "suback", "do": "code", "code": 128}, "mqtt-subscribe-refused", 69),
    "status 400": ({**REPLY, "status": 400}, "dps-bad-request", 77),
    "status 401": ({**REPLY, "status": 401, "errorCode": 401002}, "dps-unauthorized", 77),
    "status 404": ({**REPLY, "status": 404}, "dps-not-found", 77),
    "status 409": ({**REPLY, "status": 409}, "dps-conflict", 69),
    "status 412": ({**REPLY, "status": 412}, "dps-conflict", 69),
    "status 429": ({**REPLY, "status": 429, "retryAfter": "7"}, "dps-throttled", 75),
    "status 500": ({**REPLY, "status": 500}, "dps-unavailable", 69),
    "status 503 on a poll": ({**POLL, "status": 503, "retryAfter": None}, "dps-unavailable", 69),
    "status 999": ({**REPLY, "status": 999}, "dps-unavailable", 69),
    "status 302": ({**REPLY, "status": 302}, "dps-unavailable", 69),
    "poll again in a day": ({**REPLY, "retryAfter": "100000"}, "dps-assigning", 75),
    "not JSON": ({**REPLY, "body": "{]"}, "dps-reply-invalid", 69),
    "JSON that is no object": ({**REPLY, "body": "[1]"}, "dps-reply-invalid", 69),
    "deep JSON": ({**REPLY, "body": "[" * 50_000}, "dps-reply-invalid", 69),
    "not UTF-8": ({**REPLY, "bodyHex": "fffe00"}, "dps-reply-invalid", 69),
    "an empty body": ({**REPLY, "body": ""}, "dps-reply-invalid", 69),
    "a body above 96 KB": ({**REPLY, "bodySize": 120_000}, "dps-reply-invalid", 69),
    "another topic": ({**REPLY, "topic": "$dps/other"}, "dps-reply-invalid", 69),
    "a topic without status": ({**REPLY, "topic": "$dps/registrations/res/x/?$rid=1"}, "dps-reply-invalid", 69),
    "random bytes for CONNACK": ({"on": "connack", "do": "raw", "hex": "f000"}, "mqtt-rejected", 77),
    "random bytes, no reply": ({"on": "register-reply", "do": "raw", "hex": "30050003fffefd"}, "dps-reply-invalid", 69),
    "status failed": ({**POLL, "registrationStatus": "failed"}, "dps-failed", 77),
    "status disabled": ({**POLL, "registrationStatus": "disabled"}, "dps-disabled", 77),
    "status unheard of": ({**POLL, "registrationStatus": "dancing"}, "dps-reply-invalid", 69),
    "no hub": ({**POLL, "state": {"assignedHub": None}}, "dps-reply-invalid", 69),
    "a hub that is no name": ({**POLL, "state": {"assignedHub": "h\nREADY=1"}}, "assignment-invalid", 77),
    "a device id with a quote": ({**POLL, "state": {"deviceId": "a'b"}}, "assignment-invalid", 77),
    "a new profile": ({**POLL, "state": {"connectionProfile": "mqttV5"}}, "assignment-invalid", 77),
    "an expired certificate": ({"on": "accept", "do": "certificate", "which": "expired"}, "tls-certificate-dates", 69),
    "a wrong name": ({"on": "accept", "do": "certificate", "which": "wrong-name"}, "tls-wrong-name", 69),
    "an unknown authority": ({"on": "accept", "do": "certificate", "which": "unknown-ca"}, "intercepted", 69),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_answer_is_a_named_problem(name: str, board: Board, emulator: EmulatorProcess) -> None:
    fault, code, exit_status = FAULTS[name]
    emulator.replace(faults=[{**fault, "times": 0}])
    ended = board.dpsctl("provision")
    assert f"dpsd: {code}: " in ended.stderr, ended.stderr
    assert "\nhint: " in ended.stderr
    assert ended.returncode == exit_status
    assert "Traceback" not in ended.stderr
    assert board.secret not in ended.stdout + ended.stderr
    assert not board.connection.exists()


@pytest.mark.parametrize("text", ["0", "-1", "abc", "1.5", "", None])
def test_odd_retry_after_is_survived(text: str | None, board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{**REPLY, "retryAfter": text}])
    assert board.dpsctl("provision").returncode == 0
    assert board.connection.exists()


def test_duplicated_reply_is_taken_once(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "duplicate"}, {"on": "poll-reply", "do": "duplicate"}])
    assert board.dpsctl("provision").returncode == 0


def test_silence_at_any_packet_ends_in_no_answer(tmp_path: Path, emulator: EmulatorProcess) -> None:
    boards = [Board(tmp_path / name, emulator) for name in ("connack", "suback", "rid")]
    faults = [{"on": "connack", "do": "silence"}, {"on": "suback", "do": "silence"}, {**REPLY, "requestId": "another"}]
    clients = [{"client": one.registration_id} for one in boards]
    emulator.replace(faults=[{**fault, **client} for fault, client in zip(faults, clients, strict=True)])
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda one: one.dpsctl("provision"), boards))
    assert [one.returncode for one in ended] == [69, 69, 69]
    assert all("dpsd: no-answer: " in one.stderr for one in ended)


def test_a_failed_attempt_keeps_the_old_files(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    before = {path: path.read_bytes() for path in board.state.rglob("*.*") if path.is_file()}
    emulator.replace(faults=[{**REPLY, "status": 401, "times": 0}])
    assert board.dpsctl("provision", "--force").returncode == 77
    assert {path: path.read_bytes() for path in board.state.rglob("*.*") if path.is_file()} == before


def test_a_service_message_cannot_fake_a_line(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{**REPLY, "status": 401, "message": "x\nREADY=1\n<0>\x1b[2Jx" + "y" * 900}])
    stderr = board.dpsctl("provision").stderr
    assert "\nREADY=1" not in stderr and "\x1b" not in stderr
    assert "\\x0aREADY=1" in stderr
    assert max(map(len, stderr.splitlines())) < 400


def test_a_certificate_without_its_intermediates_gets_the_exact_hint(board: Board) -> None:
    board.use_certificate()
    chain = (board.emulator.device("x509-group") / "device.pem").read_text()
    alone = board.folder / "leaf.pem"
    alone.write_text(chain.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n")
    given = f"{board.emulator.device('x509-group')}/device.pem"
    board.config.write_text(board.config.read_text().replace(given, str(alone)))
    ended = board.dpsctl("provision")
    assert "dpsd: dps-unauthorized: DPS answered 401, error 401002: CA certificate not found." in ended.stderr
    assert "\nhint: put the intermediates behind the certificate" in ended.stderr
