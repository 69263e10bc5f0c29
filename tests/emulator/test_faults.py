"""The language of faults: which rows there are, when they happen, and what they make of a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dpsd.emulator.actions import SendReply
from dpsd.emulator.wire import faults as language
from dpsd.emulator.wire.alterations import alter_reply, split_bytes
from dpsd.emulator.wire.faults import EFFECTS, MOMENTS, parse_faults
from dpsd.emulator.wire.moments import Faults, Moment
from dpsd.protocol.dps import Reply
from dpsd.shape import ShapeError, Table

ANSWER = SendReply(
    "poll-reply", Reply(200, "r2"), b'{"operationId":"o","status":"assigned","registrationState":{"a":1}}', {}
)
POLL = Moment("poll", "pi", "dps")
REPLY = {"on": "poll-reply", "do": "reply"}


def rows(*faults: dict[str, Any]) -> Faults:
    return parse_faults(list(faults))


def taken(row: dict[str, Any], times: int) -> list[bool]:
    faults = rows({"on": "poll", "do": "drop", **row})
    return [faults.take(POLL) is not None for _ in range(times)]


def test_a_fault_happens_once_unless_it_says_otherwise() -> None:
    assert taken({}, 3) == [True, False, False]


def test_a_fault_may_wait_for_its_turn_and_come_again() -> None:
    assert taken({"nth": 2, "times": 2}, 4) == [False, True, True, False]


def test_times_0_means_always() -> None:
    assert all(taken({"times": 0}, 5))


@pytest.mark.parametrize(
    ("narrowed", "other"),
    [({"client": "pi"}, {"client": "pie"}), ({"service": "dps"}, {"service": "hub"}), ({"transport": "mqtt"}, {})],
)
def test_a_fault_may_be_for_some_connections_only(narrowed: dict[str, str], other: dict[str, str]) -> None:
    assert rows({"on": "poll", "do": "drop", **narrowed}).take(POLL)
    assert not rows({"on": "poll", "do": "drop", **(other or {"transport": "websocket"})}).take(POLL)


def test_what_only_websocket_has_concerns_no_other_connection() -> None:
    faults = rows({"on": "connack", "do": "frame", "kind": "ping"})
    assert faults.take(Moment("connack")) is None
    assert faults.take(Moment("connack", transport="websocket"))


def test_only_the_first_fault_that_is_due_happens() -> None:
    faults = rows({"on": "poll", "do": "drop", "nth": 2}, {"on": "poll", "do": "silence", "times": 0})
    assert [fault.do for fault in (faults.take(POLL), faults.take(POLL)) if fault] == ["silence", "drop"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, ".on: is missing"),
        ({"on": "poll"}, ".do: is missing"),
        ({"on": "pole", "do": "drop"}, ".on: is not one of"),
        ({"on": "poll", "do": "dorp"}, ".do: is not one of"),
        ({"on": 7, "do": "drop"}, ".on: expected a string"),
        ({"on": "poll", "do": "drop", "satus": 401}, ".satus: is not known here"),
        ({"on": "poll", "do": "drop", "service": "hup"}, ".service: is not one of"),
        ({"on": "poll", "do": "drop", "nth": 0}, ".nth: is not between"),
        ({"on": "poll", "do": "drop", "times": -1}, ".times: is not between"),
        ({"on": "poll", "do": "drop", "times": None}, ".times: is missing"),
        ({"on": "poll", "do": "delay"}, ".seconds: is missing"),
        ({"on": "poll", "do": "delay", "seconds": "3"}, ".seconds: expected a number"),
        ({"on": "poll", "do": "omit"}, ".do: omit is not for poll"),
        ({"on": "accept", "do": "certificate", "which": "none"}, ".which: is not one of"),
        ({"on": "accept", "do": "tls", "version": "0.9"}, ".version: is not one of"),
        ({"on": "accept", "do": "alert"}, ".which: is missing"),
        ({"on": "accept", "do": "drop", "client": "pi"}, ".client: is not known at accept"),
        ({"on": "connack", "do": "code"}, ".code: is missing"),
        ({"on": "connack", "do": "code", "code": 256}, ".code: is not between"),
        ({"on": "connack", "do": "cut", "size": 0}, ".size: is not between"),
        ({"on": "connack", "do": "frame", "kind": "pin"}, ".kind: is not one of"),
        ({"on": "connack", "do": "frame", "kind": "ping", "hex": "00" * 126}, ".hex: is longer than 125"),
        ({"on": "connack", "do": "frame", "kind": "ping", "transport": "mqtt"}, ".transport: this is for websocket"),
        ({"on": "upgrade-reply", "do": "http", "status": 200, "headers": {"a": 1}}, ".headers.a: expected a string"),
        ({"on": "twin-reply", "do": "reply", "status": 500}, ".do: reply is not for twin-reply"),
        ({**REPLY, "bodyHex": "xy"}, ".bodyHex: is not hexadecimal"),
        ({**REPLY, "status": "401"}, ".status: expected an integer"),
        ({**REPLY, "status": None}, ".status: is missing"),
        ({**REPLY, "topic": "t" * 65536}, ".topic: is longer than 65535 bytes"),
        ({**REPLY, "topic": "\ud800"}, ".topic: has half of a surrogate pair"),
        ({**REPLY, "requestId": "\ud800"}, ".requestId: has half of a surrogate pair"),
        ({**REPLY, "retryAfter": "\ud800"}, ".retryAfter: has half of a surrogate pair"),
        ({**REPLY, "body": "\ud800"}, ".body: has half of a surrogate pair"),
        ({"on": "upgrade-reply", "do": "http", "status": 200, "body": "\ud800"}, ".body: has half of a surrogate"),
        ({"on": "upgrade-reply", "do": "http", "status": 200, "headers": {"a": "\ud800"}}, ".headers.a: has half"),
        ({"on": "upgrade-reply", "do": "http", "status": 200, "headers": {"\ud800": "a"}}, ".headers.name: has half"),
        ({"on": "poll", "do": "delay", "seconds": float("nan")}, ".seconds: expected a number"),
        ({"on": "poll", "do": "delay", "seconds": float("inf")}, ".seconds: expected a number"),
        ({"on": "poll", "do": "delay", "seconds": 10**400}, ".seconds: expected a number"),
        ({**REPLY, "retryAfter": 7}, ".retryAfter: expected a string"),
    ],
)
def test_a_wrong_row_is_refused_with_its_place(row: dict[str, Any], said: str) -> None:
    with pytest.raises(ShapeError) as refused:
        rows({"on": "poll", "do": "drop"}, row)
    assert str(refused.value).startswith(f"faults[1]{said}")


def test_the_help_names_every_moment_and_effect() -> None:
    words = (language.__doc__ or "").replace(":", " ").split()
    assert {*MOMENTS, *EFFECTS} <= set(words)


def test_every_detail_is_in_the_help() -> None:
    said = language.__doc__ or ""
    assert [key for effect in EFFECTS.values() for key in effect.details if f"`{key}`" not in said] == []


@pytest.mark.parametrize(
    ("row", "topic"),
    [
        ({"status": 999}, "$dps/registrations/res/999/?$rid=r2"),
        ({"retryAfter": "-1"}, "$dps/registrations/res/200/?$rid=r2&retry-after=-1"),
        ({"retryAfter": None}, "$dps/registrations/res/200/?$rid=r2"),
        ({"requestId": "x"}, "$dps/registrations/res/200/?$rid=x"),
        ({"requestId": None, "retryAfter": "3"}, "$dps/registrations/res/200/?retry-after=3"),
        ({"topic": "elsewhere"}, "elsewhere"),
    ],
)
def test_a_replys_topic_is_altered(row: dict[str, Any], topic: str) -> None:
    assert alter_reply(ANSWER, Table(row), "now")[0] == topic


@pytest.mark.parametrize(
    ("row", "body"),
    [
        ({"body": "{"}, b"{"),
        ({"bodyHex": "ff00"}, b"\xff\0"),
        ({"bodyCut": 12}, b'{"operationI'),
        ({"registrationStatus": "failed"}, {"status": "failed", "registrationState": {"a": 1, "status": "failed"}}),
        ({"state": {"a": None, "b": 2}}, {"status": "assigned", "registrationState": {"b": 2}}),
    ],
)
def test_a_replys_body_is_altered(row: dict[str, Any], body: bytes | dict[str, Any]) -> None:
    _, found = alter_reply(ANSWER, Table(row), "now")
    assert found == body if isinstance(body, bytes) else json.loads(found) == {"operationId": "o", **body}


def test_a_large_body_is_valid_and_has_its_size() -> None:
    _, body = alter_reply(ANSWER, Table({"bodySize": 100_000}), "now")
    assert (len(body), json.loads(body)["status"]) == (100_000, "assigning")


def test_an_altered_status_has_a_body_to_match() -> None:
    _, body = alter_reply(ANSWER, Table({"status": 503}), "now")
    assert json.loads(body)["errorCode"] == 503000


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"do": "omit"}, []),
        ({"do": "duplicate"}, [b"packet", b"packet"]),
        ({"do": "cut", "size": 2}, [b"pa"]),
        ({"do": "split", "size": 4}, [b"pack", b"et"]),
        ({"do": "raw", "hex": "00ff"}, [b"\0\xff"]),
        ({"do": "drop"}, [b"packet"]),
    ],
)
def test_what_goes_out_is_taken_to_pieces(row: dict[str, Any], expected: list[bytes]) -> None:
    fault = rows({"on": "connack", **row}).rows[0]
    assert split_bytes(b"packet", fault) == expected
