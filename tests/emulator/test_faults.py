from __future__ import annotations

import json
import ssl
from typing import Any

import pytest

from dpsd.emulator.faults import Faults, altered, parse_faults
from dpsd.emulator.steps import Answer
from dpsd.protocol.dps import Reply
from dpsd.shape import ShapeError, Table
from tests.emulator.device import publish_packet
from tests.emulator.registering import POLL, REGISTER, REPLIES, at_dps, open_device
from tests.emulator_process import EmulatorProcess

ANSWER = Answer(
    "poll-reply", Reply(200, "r2"), b'{"operationId":"o","status":"assigned","registrationState":{"a":1}}', {}
)


def rows(*faults: dict[str, Any]) -> Faults:
    return parse_faults(list(faults))


def test_a_fault_happens_once_unless_it_says_otherwise() -> None:
    faults = rows({"on": "poll", "do": "drop"})
    assert [faults.take("poll") is not None for _ in range(3)] == [True, False, False]


def test_a_fault_may_wait_for_its_turn_and_come_again() -> None:
    faults = rows({"on": "poll", "do": "drop", "nth": 2, "times": 2})
    assert [faults.take("poll") is not None for _ in range(4)] == [False, True, True, False]


def test_times_0_means_always() -> None:
    faults = rows({"on": "poll", "do": "drop", "times": 0})
    assert all(faults.take("poll") for _ in range(5))


def test_a_fault_may_be_for_one_device_at_one_service() -> None:
    faults = rows({"on": "connect", "do": "drop", "client": "pi", "service": "hub"})
    assert faults.take("connect", "other", "hub") is None
    assert faults.take("connect", "pi", "dps") is None
    assert faults.take("connect", "pi", "hub") is not None


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"on": "poll"},
        {"on": "pole", "do": "drop"},
        {"on": "poll", "do": "dorp"},
        {"on": "poll", "do": "drop", "satus": 401},
        {"on": "poll", "do": "delay"},
        {"on": "accept", "do": "certificate", "which": "none"},
        {"on": "poll-reply", "do": "reply", "bodyHex": "xy"},
        {"on": "poll-reply", "do": "reply", "status": "401"},
        {"on": "connack", "do": "code"},
        {"on": "connect", "do": "omit"},
        {"on": "twin-reply", "do": "reply", "status": 500},
    ],
)
def test_a_wrong_row_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match=r"^faults\[0\]"):
        rows(row)


@pytest.mark.parametrize(
    ("row", "topic"),
    [
        ({"status": 999}, "$dps/registrations/res/999/?$rid=r2"),
        ({"retryAfter": "-1"}, "$dps/registrations/res/200/?$rid=r2&retry-after=-1"),
        ({"retryAfter": None}, "$dps/registrations/res/200/?$rid=r2"),
        ({"requestId": "x"}, "$dps/registrations/res/200/?$rid=x"),
        ({"topic": "elsewhere"}, "elsewhere"),
    ],
)
def test_a_replys_topic_is_altered(row: dict[str, Any], topic: str) -> None:
    assert altered(ANSWER, Table(row), "now")[0] == topic


@pytest.mark.parametrize(
    ("row", "body"),
    [
        ({"body": "{"}, b"{"),
        ({"bodyHex": "ff00"}, b"\xff\0"),
        ({"registrationStatus": "failed"}, {"status": "failed", "registrationState": {"a": 1, "status": "failed"}}),
        ({"state": {"a": None, "b": 2}}, {"status": "assigned", "registrationState": {"b": 2}}),
    ],
)
def test_a_replys_body_is_altered(row: dict[str, Any], body: bytes | dict[str, Any]) -> None:
    _, found = altered(ANSWER, Table(row), "now")
    assert found == body if isinstance(body, bytes) else json.loads(found) == {"operationId": "o", **body}


def test_a_large_body_is_valid_and_has_its_size() -> None:
    _, body = altered(ANSWER, Table({"bodySize": 100_000}), "now")
    assert (len(body), json.loads(body)["status"]) == (100_000, "assigning")


def test_an_altered_status_has_a_body_to_match() -> None:
    _, body = altered(ANSWER, Table({"status": 503}), "now")
    assert json.loads(body)["errorCode"] == 503000


NAME = "x509-individual"


@pytest.fixture(autouse=True)
def no_faults_are_left(request: pytest.FixtureRequest) -> None:
    """Clear the shared emulator's faults before each test that uses it."""
    if "emulator" in request.fixturenames:
        request.getfixturevalue("emulator").replace()


@pytest.mark.parametrize("moment", ["connect", "connack"])
@pytest.mark.parametrize("deed", ["drop", "hang-up"])
def test_a_connection_is_cut_around_connack(emulator: EmulatorProcess, moment: str, deed: str) -> None:
    emulator.replace(faults=[{"on": moment, "do": deed}])
    with open_device(emulator, NAME) as device:
        if moment == "connect":
            with pytest.raises(EOFError):
                device.connect(NAME, f"{emulator.id_scope}/registrations/{NAME}/api-version=2019-03-31")
        else:
            assert device.connect(NAME, f"{emulator.id_scope}/registrations/{NAME}/api-version=2019-03-31") == 0
        assert device.is_hung_up()


@pytest.mark.parametrize(("moment", "packets"), [("suback", 0), ("register", 0), ("puback", 1), ("register-reply", 2)])
def test_a_connection_is_cut_after_any_packet(emulator: EmulatorProcess, moment: str, packets: int) -> None:
    emulator.replace(faults=[{"on": moment, "do": "drop"}])
    with at_dps(emulator, NAME) as device:
        device.send(publish_packet(REGISTER))
        for _ in range(packets):
            device.read()
        with pytest.raises(EOFError):
            device.read()


def test_a_cut_packet_does_not_arrive_whole(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "cut", "size": 20}])
    with at_dps(emulator, NAME) as device, pytest.raises(EOFError):
        device.request(REGISTER)


def test_silence_answers_nothing_and_keeps_the_connection(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register", "do": "silence"}])
    with at_dps(emulator, NAME) as device:
        device.set_timeout(0.3)
        device.send(publish_packet(REGISTER), b"\xc0\0")
        assert not device.is_hung_up()


@pytest.mark.parametrize("fault", [{"do": "drop"}, {"do": "hang-up"}, {"do": "raw", "size": 500}])
def test_tls_does_not_come_about(emulator: EmulatorProcess, fault: dict[str, Any]) -> None:
    emulator.replace(faults=[{"on": "accept", **fault}])
    with pytest.raises(OSError):
        open_device(emulator, NAME)


def test_silence_before_tls_keeps_the_connection(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "silence"}])
    with pytest.raises(TimeoutError):
        open_device(emulator, NAME, timeout=0.3)


def test_an_omitted_reply_is_only_lost(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "omit"}])
    with at_dps(emulator, NAME) as device:
        device.send(publish_packet(REGISTER), b"\xc0\0")
        assert [device.read()[0] for _ in range(2)] == [0x40, 0xD0]


def test_a_reply_may_come_twice_or_as_other_bytes(emulator: EmulatorProcess) -> None:
    emulator.replace(
        faults=[{"on": "register-reply", "do": "duplicate"}, {"on": "poll-reply", "do": "raw", "hex": "ff"}]
    )
    with at_dps(emulator, NAME) as device:
        operation_id = device.request(REGISTER)[1]["operationId"]
        assert json.loads(device.read_publish()[1])["operationId"] == operation_id
        device.send(publish_packet(POLL + operation_id), b"\xc0\0")
        assert device.raw(4 + 1) == b"\x40\x02\0\x07\xff"


def test_connack_and_suback_carry_the_faults_code(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "connack", "do": "code", "code": 3}, {"on": "suback", "do": "code", "code": 128}])
    with open_device(emulator, NAME) as device:
        assert device.connect(NAME, f"{emulator.id_scope}/registrations/{NAME}/api-version=2019-03-31") == 3
    with at_dps(emulator, NAME, subscribed=False) as device:
        assert device.subscribe(REPLIES) == 128


def test_a_delay_comes_before_the_answer(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register", "do": "delay", "seconds": 0.4}])
    with at_dps(emulator, NAME) as device:
        device.set_timeout(0.2)
        device.send(publish_packet(REGISTER))
        with pytest.raises(TimeoutError):
            device.read()
        device.set_timeout(5)
        assert device.read_publish()


@pytest.mark.parametrize("status", [401, 404, 412, 429, 500, 503, 999])
def test_a_reply_has_the_faults_status_and_retry_after(emulator: EmulatorProcess, status: int) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "reply", "status": status, "retryAfter": "abc"}])
    with at_dps(emulator, NAME) as device:
        topic, body = device.request(REGISTER)
        assert topic == f"$dps/registrations/res/{status}/?$rid=r1&retry-after=abc"
        assert body["errorCode"] == status * 1000


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        ("expired", "certificate has expired"),
        ("wrong-name", "IP address mismatch"),
        ("unknown-ca", "unable to get local issuer certificate"),
    ],
)
def test_the_server_shows_a_certificate_that_must_be_refused(
    emulator: EmulatorProcess, which: str, reason: str
) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "certificate", "which": which}])
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        open_device(emulator, NAME)
    with at_dps(emulator, NAME):
        pass
