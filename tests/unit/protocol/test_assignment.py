"""What DPS assigned is checked before anything of it is used."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import Problem, ProtocolError
from dpsd.protocol.assignment import Assignment, check_hub_allowed, parse_assignment
from dpsd.shape import Table
from tests.unit.examples import ANY_TEXT, JSON_VALUES, problem_of

STATE: dict[str, Any] = {
    "x509": {"enrollmentGroupId": "pi-fleet"},
    "registrationId": "rpi-0001",
    "createdDateTimeUtc": "2026-01-10T21:52:50.5898405Z",
    "assignedHub": "Hub-A.azure-devices.net",
    "deviceId": "rpi-0001",
    "status": "assigned",
    "substatus": "initialAssignment",
    "lastUpdatedDateTimeUtc": "2026-01-10T21:52:52.1928267Z",
    "etag": "IjYyMDI0NGRkLTAwMDAtMDcwMC0wMDAwLTYzYmRkZTM0MDAwMCI=",
}


def parse(**changed: object) -> Assignment:
    return parse_assignment(Table({**STATE, **changed}, "registrationState"))


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels > 1 else {}


def test_a_recorded_assignment_is_read() -> None:
    assert parse() == Assignment(
        hub="hub-a.azure-devices.net",
        device_id="rpi-0001",
        substatus="initialAssignment",
        assigned_at="2026-01-10T21:52:50.589840Z",
        etag=STATE["etag"],
        payload=None,
    )


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-01-10T21:52:50Z", "2026-01-10T21:52:50.000000Z"),
        ("2026-01-10T21:52:50.5Z", "2026-01-10T21:52:50.500000Z"),
        ("2026-01-10T21:52:50.123456789Z", "2026-01-10T21:52:50.123456Z"),
        ("2026-01-10T21:52:50+01:00", ""),
        ("２０２６-01-10T21:52:50Z", ""),
        ("yesterday\n", ""),
        (None, ""),
    ],
)
def test_a_time_has_microseconds_or_is_left_out(sent: str | None, read: str) -> None:
    assert parse(createdDateTimeUtc=sent).assigned_at == read


@pytest.mark.parametrize("text", [None, "", "two\nlines", "a b", "é", "x" * 201])
def test_a_substatus_or_etag_that_is_no_token_is_left_out(text: str | None) -> None:
    read = parse(substatus=text, etag=text)
    assert (read.substatus, read.etag) == ("", "")


@pytest.mark.parametrize("name", ["assignedHub", "deviceId"])
@pytest.mark.parametrize("text", ["", "a b", "a\nREADY=1", "a'b", 'a"b', "a;b", "a\\b", "a\0", "é", "a/b", "a" * 254])
def test_a_name_that_could_steer_another_program_is_refused(name: str, text: str) -> None:
    problem = problem_of("assignment-invalid", lambda: parse(**{name: text}))
    assert "\n" not in problem.sentence and "é" not in problem.sentence


@pytest.mark.parametrize("name", ["assignedHub", "deviceId", "substatus", "etag", "createdDateTimeUtc"])
def test_a_value_of_the_wrong_type_is_a_protocol_error(name: str) -> None:
    with pytest.raises(ProtocolError, match=rf"^registrationState\.{name}: expected "):
        parse(**{name: 7})


@pytest.mark.parametrize("name", ["assignedHub", "deviceId"])
def test_an_assignment_without_a_name_is_a_protocol_error(name: str) -> None:
    with pytest.raises(ProtocolError, match="is missing"):
        parse_assignment(Table({key: value for key, value in STATE.items() if key != name}))


@pytest.mark.parametrize(
    "payload", [{"key": ["value", 1, None, {"a": 0.5}]}, nested(32), "text", "", [1, "a"], [], 0, 1.5, False, {}, None]
)
def test_a_payload_is_kept_as_it_was_sent(payload: Any) -> None:
    assert parse(payload=payload).payload == payload


@pytest.mark.parametrize("payload", [nested(33), {"a": float("nan")}, [float("-inf")], float("inf")])
def test_a_payload_that_no_file_should_hold_is_refused(payload: Any) -> None:
    problem = problem_of("assignment-invalid", lambda: parse(payload=payload))
    assert problem.sentence.startswith("the payload that the custom allocation function sent has more than 32 levels")
    assert "custom allocation function" in problem.hint


def test_a_hub_that_speaks_mqtt_5_is_a_problem_of_its_own() -> None:
    problem = problem_of("assignment-mqtt5", lambda: parse(connectionProfile="mqttV5"))
    assert "MQTT 5" in problem.sentence and "MQTT 3.1.1" in problem.hint


@pytest.mark.parametrize("profile", ["MQTTV5", "", 1, [], {"a": "\n"}])
def test_a_connection_profile_that_is_not_classic_is_refused(profile: object) -> None:
    assert parse(connectionProfile="classic") == parse(connectionProfile=None) == parse()
    problem = problem_of("assignment-invalid", lambda: parse(connectionProfile=profile))
    assert "connection profile" in problem.sentence


@given(st.dictionaries(st.sampled_from(sorted(STATE)), ANY_TEXT | JSON_VALUES))
def test_any_state_is_an_assignment_or_a_named_error(changed: dict[str, object]) -> None:
    try:
        assert parse(**changed).hub
    except Problem as problem:
        assert problem.code in ("assignment-invalid", "assignment-mqtt5")
    except ProtocolError as error:
        assert str(error).startswith("registrationState.")


@pytest.mark.parametrize("allow", [(), ("contoso-*.azure-devices.net",), ("a.b", "CONTOSO-1.azure-devices.net")])
def test_an_allowed_hub_passes(allow: tuple[str, ...]) -> None:
    check_hub_allowed("contoso-1.azure-devices.net", allow)
    if allow:
        problem = problem_of("assignment-not-allowed", lambda: check_hub_allowed("evil.net", allow))
        assert "evil.net" in problem.sentence
