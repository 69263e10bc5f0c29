"""DPS topics and bodies, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol import dps
from dpsd.shape import Table
from tests.unit.examples import ANY_TEXT, JSON_VALUES

OPERATION_ID = "5.71cf7e385566aa10.4469ed4c-dc19-4af8-8b36-9ef6396ac1b3"
REPLY = "$dps/registrations/res/"
NO_FAULT = dps.ErrorBody(None, "", "")
OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=3)
REPLIES = st.builds(dps.Reply, st.integers(100, 999), st.text(), st.none() | st.integers(0, 10**9 - 1))


def test_the_requests_have_the_published_topics() -> None:
    assert dps.REPLY_FILTER == "$dps/registrations/res/#"
    assert dps.encode_register_topic("a1") == "$dps/registrations/PUT/iotdps-register/?$rid=a1"
    polled = f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=a2&operationId={OPERATION_ID}"
    assert dps.encode_poll_topic("a2", OPERATION_ID) == polled


@given(st.text(), st.text())
def test_a_request_topic_is_parsed_back(request_id: str, operation_id: str) -> None:
    assert dps.parse_request_topic(dps.encode_register_topic(request_id)) == dps.Register(request_id)
    polled = dps.encode_poll_topic(request_id, operation_id)
    assert dps.parse_request_topic(polled) == dps.Poll(request_id, operation_id)


def test_a_request_without_its_dollar_sign_has_an_empty_request_id() -> None:
    assert dps.parse_request_topic("$dps/registrations/PUT/iotdps-register/?rid=1") == dps.Register("")


@pytest.mark.parametrize(
    ("topic", "reply"),
    [
        ("202/?$rid=a1&retry-after=3", dps.Reply(202, "a1", 3)),
        ("200/?$rid=a3", dps.Reply(200, "a3")),
        ("202/?$rid=&retry-after=3", dps.Reply(202, "", 3)),
        ("202/?retry-after=3&$rid=a1&new=1", dps.Reply(202, "a1", 3)),
        ("429/?$rid=a1&Retry-After=7", dps.Reply(429, "a1", 7)),
        ("202/?$rid=a1&retry-after=-1", dps.Reply(202, "a1")),
        ("202/?$rid=a1&retry-after=abc", dps.Reply(202, "a1")),
        ("202/?$rid=a1&retry-after=0000000000007", dps.Reply(202, "a1", 7)),
        ("202/?$rid=a1&retry-after=999999999", dps.Reply(202, "a1", 999_999_999)),
        ("202/?$rid=a1&retry-after=1000000000", dps.Reply(202, "a1", 999_999_999)),
        (f"202/?$rid=a1&retry-after={'9' * 10_000}", dps.Reply(202, "a1", 999_999_999)),
        ("202/?$rid=a1&retry-after=٣", dps.Reply(202, "a1")),
        ("999/", dps.Reply(999, "")),
    ],
)
def test_a_reply_topic_is_read_as_the_service_and_others_write_it(topic: str, reply: dps.Reply) -> None:
    assert dps.parse_reply_topic(REPLY + topic) == reply


@given(REPLIES)
def test_a_reply_topic_is_parsed_back(reply: dps.Reply) -> None:
    topic = dps.encode_reply_topic(reply)
    assert dps.parse_reply_topic(topic) == reply
    assert topic.partition("/?")[2].startswith("$rid=")


@pytest.mark.parametrize("topic", ["", REPLY, f"{REPLY}20/?$rid=1", f"{REPLY}2000/", f"{REPLY}２００/", "x/200/"])
def test_a_topic_that_is_no_reply_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError, match="not a DPS reply topic"):
        dps.parse_reply_topic(topic)


@given(ANY_TEXT, st.sampled_from(["", REPLY, f"{REPLY}200/", "$dps/registrations/PUT/iotdps-register/?"]))
def test_any_topic_is_a_value_or_a_protocol_error(text: str, before: str) -> None:
    try:
        assert isinstance(dps.parse_reply_topic(before + text), dps.Reply)
    except ProtocolError as error:
        assert str(error) == "not a DPS reply topic"
    try:
        assert isinstance(dps.parse_request_topic(before + text), (dps.Register, dps.Poll))
    except ProtocolError as error:
        assert str(error) == "not a DPS request topic"


def test_the_register_body_is_the_published_one() -> None:
    assert dps.encode_register_body("rpi-0001", None) == b'{"registrationId":"rpi-0001"}'
    assert json.loads(dps.encode_register_body("r", {"modelId": "m"}))["payload"] == {"modelId": "m"}


@given(st.text(), st.none() | OBJECTS.filter(bool))
def test_a_register_body_is_parsed_back(registration_id: str, payload: dict[str, Any] | None) -> None:
    assert dps.parse_register_body(dps.encode_register_body(registration_id, payload)) == (registration_id, payload)


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"payload":null}'])
def test_a_register_body_may_be_as_good_as_empty(body: bytes) -> None:
    assert dps.parse_register_body(body) == (None, None)


@given(st.none() | st.text(), st.text(), OBJECTS)
def test_an_operation_is_parsed_back(operation_id: str | None, status: str, state: dict[str, Any]) -> None:
    body = dps.encode_operation(dps.Operation(operation_id, status, Table(state)))
    parsed = dps.parse_operation(body)
    assert (parsed.operation_id, parsed.status, parsed.state.values) == (operation_id, status, state)


def test_an_operation_may_lack_its_state() -> None:
    parsed = dps.parse_operation(f'{{"operationId":"{OPERATION_ID}","status":"assigning"}}'.encode())
    assert (parsed.operation_id, parsed.status, parsed.state.values) == (OPERATION_ID, "assigning", {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "expected an object"),
        (b"{}", "status: is missing"),
        (b'{"status":7}', "status: expected a string"),
        (b'{"status":"assigned","operationId":7}', "operationId: expected a string"),
        (b'{"status":"assigned","registrationState":[]}', "registrationState: expected an object"),
        (b" " * (dps.PAYLOAD_LIMIT + 1), "98305 bytes"),
    ],
)
def test_a_body_that_is_no_operation_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        dps.parse_operation(body)


@given(st.none() | st.integers(), st.text(), st.text())
def test_a_fault_is_parsed_back(code: int | None, message: str, tracking_id: str) -> None:
    fault = dps.ErrorBody(code, message, tracking_id)
    assert dps.parse_error_body(dps.encode_error_body(fault, "2026-01-10T21:39:05.1573304Z")) == fault


def test_a_fault_is_read_as_the_service_writes_it() -> None:
    body = b'{"errorCode":401002,"trackingId":"2c","message":"Invalid certificate.","timestampUtc":"2026","info":{}}'
    assert dps.parse_error_body(body) == dps.ErrorBody(401002, "Invalid certificate.", "2c")


@given(st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_value_or_a_protocol_error(body: bytes) -> None:
    assert isinstance(dps.parse_error_body(body), dps.ErrorBody)
    for parse in (dps.parse_operation, dps.parse_register_body):
        try:
            assert isinstance(parse(body), tuple)
        except ProtocolError as error:
            assert "JSON" in str(error) or "UTF-8" in str(error) or ": " in str(error)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"errorCode":"401"}', b"\xff" * 10])
def test_a_fault_that_cannot_be_read_is_an_empty_one(body: bytes) -> None:
    assert dps.parse_error_body(body) == NO_FAULT
    assert dps.parse_error_body(b'{"errorCode":1}') != NO_FAULT
