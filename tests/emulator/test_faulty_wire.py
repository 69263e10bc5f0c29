"""Every fault on real sockets, at every moment of a conversation with DPS and with a hub."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest

from dpsd.emulator.wire.faults import MOMENTS, UPGRADE
from tests.emulator.device import Device, connect_packet, packet, publish_packet, string, subscribe_packet
from tests.emulator.registering import POLL, REGISTER, REPLIES, at_dps, open_device, register
from tests.emulator_process import EmulatorProcess

NAME = "x509-individual"


class Exchange(NamedTuple):
    """What a device sends, by its moment's name, and the moments of what it gets for that."""

    moment: str
    packet: bytes
    answers: tuple[str, ...] = ()


def dps_exchanges(emulator: EmulatorProcess) -> Iterator[Exchange]:
    """A conversation with DPS that uses every packet there is; the poll asks for an operation that does not exist."""
    username = f"{emulator.id_scope}/registrations/{NAME}/api-version=2019-03-31"
    yield Exchange("connect", connect_packet(NAME, username), ("connack",))
    yield Exchange("subscribe", subscribe_packet(1, (REPLIES, 1)), ("suback",))
    yield Exchange("register", publish_packet(REGISTER), ("puback", "register-reply"))
    yield Exchange("acknowledge", packet(0x40, b"\0\1"))
    yield Exchange("poll", publish_packet(POLL + "none"), ("puback", "poll-reply"))
    yield Exchange("unsubscribe", packet(0xA2, b"\0\2" + string(REPLIES)), ("unsuback",))
    yield Exchange("ping", packet(0xC0), ("pingresp",))
    yield Exchange("disconnect", packet(0xE0))


def hub_exchanges(emulator: EmulatorProcess) -> Iterator[Exchange]:
    """A conversation with the hub that the device is assigned to."""
    hub = register(emulator, NAME)["assignedHub"]
    yield Exchange("connect", connect_packet(NAME, f"{hub}/{NAME}/?api-version=2021-04-12"), ("connack",))
    yield Exchange("subscribe", subscribe_packet(1, ("$iothub/twin/res/#", 1)), ("suback",))
    yield Exchange("telemetry", publish_packet(f"devices/{NAME}/messages/events/", b"hello"), ("puback",))
    yield Exchange("twin", publish_packet("$iothub/twin/GET/?$rid=1"), ("puback", "twin-reply"))


def until(exchanges: Iterable[Exchange], end: str) -> Iterator[str]:
    """Yield the answers that arrive when the conversation ends at the moment `end`."""
    for exchange in exchanges:
        if exchange.moment == end:
            return
        for answer in exchange.answers:
            yield answer
            if answer == end:
                return


def arriving(emulator: EmulatorProcess, exchanges: Iterable[Exchange]) -> Iterator[str]:
    """Have the conversation and yield the answers that arrive before the server ends it."""
    with open_device(emulator, NAME) as device:
        try:
            for exchange in exchanges:
                device.send(exchange.packet)
                for answer in exchange.answers:
                    device.read()
                    yield answer
        except (EOFError, OSError):
            return


AT_DPS = [moment for moment in MOMENTS if moment not in ("accept", *UPGRADE, "telemetry", "twin", "twin-reply")]


@pytest.fixture(autouse=True)
def no_faults_are_left(emulator: EmulatorProcess) -> None:
    emulator.replace()


@pytest.mark.parametrize("effect", ["drop", "reset", "hang-up"])
@pytest.mark.parametrize("moment", AT_DPS)
def test_a_conversation_with_dps_ends_at_any_packet(emulator: EmulatorProcess, moment: str, effect: str) -> None:
    since, exchanges = len(emulator.lines()), list(dps_exchanges(emulator))
    emulator.replace(faults=[{"on": moment, "do": effect}])
    assert list(arriving(emulator, exchanges)) == list(until(exchanges, moment))
    emulator.wait_for("disconnect", since=since, reason=f"fault {effect}")


@pytest.mark.parametrize("moment", ["telemetry", "twin", "twin-reply"])
def test_a_conversation_with_a_hub_ends_at_any_packet(emulator: EmulatorProcess, moment: str) -> None:
    exchanges = list(hub_exchanges(emulator))
    emulator.replace(faults=[{"on": moment, "do": "drop"}])
    assert list(arriving(emulator, exchanges)) == list(until(exchanges, moment))


@pytest.mark.parametrize(("effect", "in_order"), [("drop", False), ("hang-up", True)])
def test_tls_is_closed_in_order_or_not(emulator: EmulatorProcess, effect: str, in_order: bool) -> None:
    emulator.replace(faults=[{"on": "connect", "do": effect}])
    with open_device(emulator, NAME, ragged=True) as device:
        device.send(next(dps_exchanges(emulator)).packet)
        assert (device.how_it_ends() == "") == in_order


def test_a_reset_is_one_of_tcp(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "reset"}])
    with (
        pytest.raises(ConnectionResetError),  # at the latest when something is to be read
        socket.create_connection((emulator.address, emulator.port), 5) as tcp,
    ):
        tcp.recv(1)


@pytest.mark.parametrize("fault", [{"do": "drop"}, {"do": "reset"}, {"do": "hang-up"}, {"do": "raw", "size": 500}])
def test_tls_does_not_come_about(emulator: EmulatorProcess, fault: dict[str, Any]) -> None:
    emulator.replace(faults=[{"on": "accept", **fault}])
    with pytest.raises(OSError):
        open_device(emulator, NAME)


def test_silence_before_tls_keeps_the_connection(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "silence"}])
    with pytest.raises(TimeoutError):
        open_device(emulator, NAME, timeout=0.3)


def test_silence_answers_nothing_and_keeps_the_connection(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register", "do": "silence"}])
    with at_dps(emulator, NAME) as device:
        device.set_timeout(0.3)
        device.send(publish_packet(REGISTER), b"\xc0\0")
        assert not device.is_hung_up()


def test_a_delay_comes_before_the_answer(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register", "do": "delay", "seconds": 0.4}])
    with at_dps(emulator, NAME) as device:
        device.send(publish_packet(REGISTER))
        began = time.monotonic()
        device.read_publish()
        assert time.monotonic() - began > 0.3


def test_an_omitted_reply_is_only_lost(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "omit"}])
    with at_dps(emulator, NAME) as device:
        device.send(publish_packet(REGISTER), b"\xc0\0")
        assert [device.read()[0] for _ in range(2)] == [0x40, 0xD0]


def test_a_reply_may_come_twice_or_as_other_bytes(emulator: EmulatorProcess) -> None:
    twice, other = {"on": "register-reply", "do": "duplicate"}, {"on": "poll-reply", "do": "raw", "hex": "ff"}
    emulator.replace(faults=[twice, other])
    with at_dps(emulator, NAME) as device:
        operation_id = device.request(REGISTER)[1]["operationId"]
        assert json.loads(device.read_publish()[1])["operationId"] == operation_id
        device.send(publish_packet(POLL + operation_id), b"\xc0\0")
        assert device.raw(4 + 1) == b"\x40\x02\0\x07\xff"


def test_a_cut_packet_does_not_arrive_whole(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "register-reply", "do": "cut", "size": 20}])
    with at_dps(emulator, NAME) as device:
        device.send(publish_packet(REGISTER))
        assert len(device.raw(4 + 20)) == 24
        assert device.is_hung_up()


def test_pieces_and_joined_packets_come_in_tls_records_of_their_own(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "suback", "do": "split", "size": 3}, {"on": "puback", "do": "join"}])
    with at_dps(emulator, NAME, subscribed=False) as device:
        device.send(subscribe_packet(1, (REPLIES, 1)))
        assert [device.record(), device.record()] == [b"\x90\x03\x00", b"\x01\x01"]
        device.send(publish_packet(REGISTER))
        record = device.record()
        assert record.startswith(b"\x40\x02\x00\x07\x32") and b"assigning" in record


def test_connack_and_suback_carry_the_faults_code(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "connack", "do": "code", "code": 3}, {"on": "suback", "do": "code", "code": 128}])
    with open_device(emulator, NAME) as device:
        assert device.connect(NAME, f"{emulator.id_scope}/registrations/{NAME}/api-version=2019-03-31") == 3
    with at_dps(emulator, NAME, subscribed=False) as device:
        assert device.subscribe(REPLIES) == 128


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
        ("not-yet-valid", "certificate is not yet valid"),
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


def lenient(emulator: EmulatorProcess) -> ssl.SSLContext:
    """A client's context for every version that its OpenSSL still has."""
    context = ssl.create_default_context(cafile=str(emulator.ca))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3"])
def test_the_server_speaks_one_version_of_tls(emulator: EmulatorProcess, version: str) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "tls", "version": version}])
    with Device(emulator.address, emulator.port, emulator.ca, context=lenient(emulator)) as device:
        assert device.version() == ("TLSv1" if version == "1.0" else f"TLSv{version}")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_old_version_is_refused_by_todays_clients(emulator: EmulatorProcess, version: str) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "tls", "version": version}])
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL|legacy sigalg"):  # Debian 12 looks at the signature first
        open_device(emulator, NAME)


@pytest.mark.parametrize(("device", "alert"), [(NAME, "UNKNOWN_CA"), ("symmetric-group", "HANDSHAKE_FAILURE")])
def test_a_server_may_take_no_clients_certificate(emulator: EmulatorProcess, device: str, alert: str) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "tls", "version": "1.2", "trust": "none"}])
    with pytest.raises(ssl.SSLError, match=alert):
        open_device(emulator, device)


def test_a_certificate_is_refused_after_the_handshake_in_tls_1_3(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "tls", "version": "1.3", "trust": "none"}])
    with open_device(emulator, "symmetric-group") as device, pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        device.read()


@pytest.mark.parametrize("which", ["handshake-failure", "unknown-ca", "access-denied", "unrecognized-name"])
def test_an_alert_answers_the_hello(emulator: EmulatorProcess, which: str) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "alert", "which": which}])
    with pytest.raises(ssl.SSLError, match=which.upper().replace("-", "_")):
        open_device(emulator, NAME)


def test_a_client_that_leaves_before_the_alert_is_no_trouble(emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "alert", "which": "unknown-ca"}])
    since = len(emulator.lines())
    with socket.create_connection((emulator.address, emulator.port), 5) as tcp:
        tcp.sendall(b"\x16\x03\x01")
    assert emulator.wait_for("disconnect", since=since)["reason"] == "the client left in the handshake"
