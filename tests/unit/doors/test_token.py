"""What the token door is asked and answers: a token of this device at its hub, and never another signature."""

from __future__ import annotations

import json
import re

import pytest

from dpsd.doors import token
from dpsd.doors.http import HttpError
from dpsd.doors.token import Follow, GiveIdentity, GiveToken, Recheck
from dpsd.errors import PROBLEMS, Problem, encode_problem
from dpsd.protocol.sas import parse_token, sign, verify_token
from tests import openapi
from tests.unit.examples import CONNECTION

KEY = bytes(range(32))
NOW = 1_760_000_000.75


def request(line: str, body: bytes = b"") -> bytes:
    return f"{line} HTTP/1.1\r\nHost: door\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("data", "ask"),
    [
        (request("POST /v1/token"), GiveToken()),
        (request("POST /v1/token", b"{}"), GiveToken()),
        (request("POST /v1/token", b'{"ttl": 300}'), GiveToken(300)),
        (request("GET /v1/token"), GiveToken()),
        (request("GET /v1/token?format=json"), GiveToken()),
        (request("GET /v1/token?format=text&ttl=86400"), GiveToken(86400, as_text=True)),
        (request("GET /v1/identity"), GiveIdentity()),
        (request("GET /v1/events"), Follow()),
        (request("POST /v1/recheck"), Recheck()),
        (request("POST /v1/recheck", b"{}"), Recheck()),
    ],
)
def test_what_can_be_asked(data: bytes, ask: token.Ask) -> None:
    assert token.parse_ask(data) == ask


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("GET /v1/tokens"), 404),
        (request("GET /"), 404),
        (request("PUT /v1/token"), 405),
        (request("GET /v1/recheck"), 405),
        (request("POST /v1/token", b'{"ttl": 299}'), 400),
        (request("POST /v1/token", b'{"ttl": 86401}'), 400),
        (request("POST /v1/token", b'{"ttl": "300"}'), 400),
        (request("POST /v1/token", b'{"ttl": true}'), 400),
        (request("POST /v1/token", b'{"resource": "contoso"}'), 400),
        (request("POST /v1/token", b"ttl=300"), 400),
        (request("POST /v1/token?ttl=300"), 400),
        (request("GET /v1/token?ttl=-300"), 400),
        (request("GET /v1/token?format=xml"), 400),
        (request("GET /v1/token?resource=contoso"), 400),
        (request("GET /v1/token", b"{}"), 400),
        (request("GET /v1/identity?a=b"), 400),
        (request("POST /v1/recheck", b'{"now": true}'), 400),
    ],
)
def test_what_else_is_asked_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        token.parse_ask(data)
    assert caught.value.status == status
    answer = token.answer_http_error(caught.value)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert body(answer)["code"] == "door-request-invalid"


def body(answer: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def test_a_token_is_for_this_device_at_its_hub_and_for_nothing_else() -> None:
    granted = token.grant(CONNECTION, lambda message: sign(KEY, message), 3600, NOW)
    parsed = parse_token(granted.token)
    assert verify_token(parsed, KEY)
    assert parsed.decode_resource() == f"{CONNECTION.iothub_hostname}/devices/{CONNECTION.device_id}"
    assert re.findall(r"[ &](\w+)=", granted.token) == ["sr", "sig", "se"]
    assert parsed.expiry == granted.expires_at == 1_760_003_600
    assert granted.renew_after == 1_760_002_880


def test_one_answer_has_all_that_connect_needs() -> None:
    granted = token.grant(CONNECTION, lambda message: bytes(32), 300, NOW)
    answer = token.answer_grant(granted, as_text=False)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body(answer) == {
        "version": 1,
        "hostname": CONNECTION.iothub_hostname,
        "client_id": CONNECTION.mqtt.client_id,
        "username": CONNECTION.mqtt.username,
        "token": granted.token,
        "expires_at": "2025-10-09T08:58:20Z",
        "expires_at_unix": 1_760_000_300,
        "renew_after_unix": 1_760_000_240,
    }
    assert token.answer_grant(granted, as_text=True).endswith(b"\r\n\r\n" + granted.token.encode())


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_is_answered_as_it_is_told_everywhere(code: str) -> None:
    problem = Problem(code, "said", retry_after=1.5 if code == "door-busy" else None)
    answer = token.answer_problem(problem)
    expected = {
        "door-request-invalid": 400, "door-refused": 403, "not-provisioned": 409, "token-needs-key": 409,
        "door-busy": 429, "worker-failed": 500,
    }.get(code, 503)  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 %d " % expected)
    assert (b"\r\nRetry-After: 2\r\n" in answer) == (code == "door-busy")
    assert body(answer) == encode_problem(problem)


def test_an_event_is_one_line_of_data() -> None:
    event = token.encode_event(b'{\n "version": 1,\n "device_id": "a"\n}\n')
    assert event == b'event: connection\ndata: { "version": 1, "device_id": "a"}\n\n'


def test_the_documents_describe_just_what_can_be_asked() -> None:
    known = {path: {method.lower() for method in methods} for path, methods in token._ROUTES.items()}
    assert {path: set(methods) for path, methods in openapi.document()["paths"].items()} == known
    ttl = openapi.document()["components"]["schemas"]["Ttl"]
    assert (ttl["minimum"], ttl["maximum"], ttl["default"]) == (token.TTL_MIN, token.TTL_MAX, token.TTL_DEFAULT)
