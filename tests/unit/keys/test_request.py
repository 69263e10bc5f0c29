"""What the root service for keys is asked, and by whom."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dpsd.errors import Problem, ProtocolError
from dpsd.keys.request import (
    FINGERPRINT,
    REQUEST_LIMIT,
    Derive,
    Sign,
    encode_refusal,
    encode_reply,
    encode_request,
    parse_reply,
    parse_request,
)
from dpsd.protocol.sas import encode_resource, make_dps_resource, make_hub_resource, make_string_to_sign
from dpsd.shape import ShapeError
from tests.unit.examples import CHECKOUT, problem_of

DPS = make_string_to_sign(encode_resource(make_dps_resource("0ne00TEST01", "pi-1:a.b_c")), 1760000000)
HUB = make_string_to_sign(encode_resource(make_hub_resource("contoso.azure-devices.net", "pi(1),=@;$'*!+")), 1760000000)
SALT = bytes(range(32))


@pytest.mark.parametrize("request_", [Derive("file", SALT), Sign(1, FINGERPRINT), Sign(255, DPS), Sign(1, HUB)])
def test_a_request_comes_back_as_it_was(request_: Derive | Sign) -> None:
    assert parse_request(encode_request(request_)) == request_


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"derive",
        b"derive /etc/shadow " + SALT.hex().encode(),
        b"derive tpm " + SALT.hex().encode(),
        b"derive file " + SALT.hex().encode() + b"00",
        b"derive file " + SALT.hex().encode() + b"\n",
        b"sign 1 ",
        b"sign 1 dpsd seal v1\n" + SALT,  # what a seal's key is made of
        b"sign 1 dpsd key name v1\n",
        b"sign 1 0123456789abcdef",  # what a disk's key may be made of
        b"sign 1 " + DPS + b"\n",
        b"sign 1 " + DPS + b"0" * 20,
        b"sign 0 " + DPS,
        b"sign 256 " + DPS,
        b"sign -1 " + DPS,
        b"sign 1 " + b"a" * REQUEST_LIMIT + DPS,
        b"genkey 1",
    ],
)
def test_nothing_else_is_answered(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_request(packet)


def test_an_answer_or_the_problem_comes_back() -> None:
    assert parse_reply(encode_reply(b"\0", b"b"), 2) == [b"\0", b"b"]
    problem = Problem("key-source-missing", "it is not there", hint="look")
    found = problem_of(problem.code, lambda: parse_reply(encode_refusal(problem), 2))
    assert (found.sentence, found.hint) == (problem.sentence, problem.hint)


@pytest.mark.parametrize("packet", [b"", b"{}", b'{"answer": [1]}', b'{"answer": ["0"]}', b'{"answer": ["00", "00"]}'])
def test_what_is_no_answer_is_noticed(packet: bytes) -> None:
    with pytest.raises(ShapeError):
        parse_reply(packet, 1)


def ask(packet: bytes, user: int) -> bytes:
    """Let the service answer a packet that `user` sent: the kernel notes who connects."""
    before = os.geteuid()
    os.seteuid(user)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.seteuid(before)
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-m", "dpsd.keys.service"]
    with ours, theirs:
        ours.send(packet)
        subprocess.run(
            command, stdin=theirs.fileno(), cwd=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT)}, check=True, timeout=60
        )
        return ours.recv(8192)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is answered")
def test_the_service_names_a_request_that_it_does_not_answer() -> None:
    assert "answer such a request" in problem_of("not-permitted", lambda: parse_reply(ask(b"genkey 1", 0), 1)).sentence


def test_one_who_went_away_is_no_failure() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(b"genkey 1")
        ours.close()
        command = [sys.executable, "-m", "dpsd.keys.service"]
        ran = subprocess.run(command, stdin=theirs.fileno(), cwd=CHECKOUT, capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_the_service_answers_no_other_user() -> None:
    asked, stranger = encode_request(Derive("file", SALT)), os.geteuid() or 65534
    said = problem_of("not-permitted", lambda: parse_reply(ask(asked, stranger), 1)).sentence
    assert f"not user {stranger}" in said


def test_the_service_loads_neither_openssl_for_certificates_nor_the_network() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import dpsd.keys.service; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-c", code, str(CHECKOUT)], check=True, capture_output=True, text=True)
    assert {"cryptography", "ssl", "paho", "tomllib", "argparse"} & set(ran.stdout.split()) == set()


def test_without_the_service_the_daemon_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpsd.keys.client.KEYS_SOCKET", f"{tmp_path}/none")
    from dpsd.keys.client import ServiceKey

    problem_of("key-helper-unreachable", lambda: ServiceKey(1).sign(FINGERPRINT))
