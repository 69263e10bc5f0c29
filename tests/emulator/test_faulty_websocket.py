"""The faults of WebSocket, seen frame by frame: HTTP's answer, and what frames can do to MQTT's packets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulator.device import Device, connect_packet, packet
from tests.emulator.frames import frame, read_frame, upgrade
from tests.emulator_process import EmulatorProcess

NAME = "x509-individual"
CONNACK = b"\x20\x02\0\0"
FINAL, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 1, 2, 8, 9, 10


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    with EmulatorProcess(tmp_path_factory.mktemp("emulator"), websocket_port=0) as process:
        yield process
    assert not (process.directory / "errors.txt").read_text()


@pytest.fixture
def device(emulator: EmulatorProcess) -> Iterator[Device]:
    emulator.replace()
    with Device(emulator.address, emulator.websocket_port, emulator.ca, emulator.device(NAME)) as opened:
        yield opened


def connect(emulator: EmulatorProcess, device: Device, *more: dict[str, Any], **fault: Any) -> None:
    """Open WebSocket and send CONNECT; the fault happens to its CONNACK, the rows of `more` to what follows."""
    emulator.replace(faults=[{"on": "connack", **fault}, *more])
    upgrade(device)
    device.send(frame(connect_packet(NAME, f"{emulator.id_scope}/registrations/{NAME}/api-version=2019-03-31")))


@pytest.mark.parametrize("effect", ["drop", "reset", "hang-up"])
@pytest.mark.parametrize(("moment", "size"), [("upgrade", 0), ("upgrade-reply", 1)])
def test_the_handshake_is_cut(emulator: EmulatorProcess, device: Device, moment: str, size: int, effect: str) -> None:
    emulator.replace(faults=[{"on": moment, "do": effect}])
    if size == 0:
        with pytest.raises(EOFError):
            upgrade(device)
    else:
        assert upgrade(device)[0] == "HTTP/1.1 101 Switching Protocols"
    assert device.is_hung_up()


@pytest.mark.parametrize("fault", [{"do": "cut", "size": 9}, {"do": "raw", "hex": b"HTTP/1.1 ".hex()}])
def test_the_answer_to_the_upgrade_is_not_whole(
    emulator: EmulatorProcess, device: Device, fault: dict[str, Any]
) -> None:
    emulator.replace(faults=[{"on": "upgrade-reply", **fault}])
    device.set_timeout(0.3)
    with pytest.raises((EOFError, TimeoutError)):
        upgrade(device)


def test_another_http_answer_ends_the_connection(emulator: EmulatorProcess, device: Device) -> None:
    headers = {"Location": "http://portal.example/"}
    answer = {"do": "http", "status": 302, "headers": headers, "body": "log in"}
    emulator.replace(faults=[{"on": "upgrade-reply", **answer}])
    status, found = upgrade(device)
    assert (status, found["location"], found["content-length"]) == ("HTTP/1.1 302 Found", headers["Location"], "6")
    assert device.raw(6) == b"log in"
    assert device.is_hung_up()


def test_an_upgrade_may_have_wrong_headers(emulator: EmulatorProcess, device: Device) -> None:
    headers = {"Sec-WebSocket-Accept": "wrong", "Sec-WebSocket-Protocol": None}
    emulator.replace(faults=[{"on": "upgrade-reply", "do": "http", "status": 101, "headers": headers}])
    status, found = upgrade(device)
    assert (status, found["sec-websocket-accept"]) == ("HTTP/1.1 101 Switching Protocols", "wrong")
    assert "sec-websocket-protocol" not in found
    device.send(frame(packet(0xC0)))
    assert emulator.wait_for("disconnect", reason="the first packet is not CONNECT")


@pytest.mark.parametrize(
    ("kind", "opcode"), [("ping", PING), ("pong", PONG), ("text", TEXT), ("reserved", 3), ("close", CLOSE)]
)
def test_a_frame_comes_before_the_packet(emulator: EmulatorProcess, device: Device, kind: str, opcode: int) -> None:
    connect(emulator, device, do="frame", kind=kind, hex="03e8")
    assert read_frame(device) == (FINAL | opcode, b"\x03\xe8")
    if kind == "close":
        assert device.is_hung_up()
    else:
        assert read_frame(device) == (FINAL | BINARY, CONNACK)


def test_a_pong_is_no_trouble(emulator: EmulatorProcess, device: Device) -> None:
    connect(emulator, device, do="frame", kind="ping")
    device.send(frame(b"", opcode=PONG), frame(packet(0xC0)))
    assert [read_frame(device)[1] for _ in range(3)] == [b"", CONNACK, b"\xd0\0"]


def test_a_packet_is_split_over_frames(emulator: EmulatorProcess, device: Device) -> None:
    connect(emulator, device, do="split", size=3)
    assert [read_frame(device) for _ in range(2)] == [(FINAL | BINARY, CONNACK[:3]), (FINAL | BINARY, CONNACK[3:])]


def test_a_message_is_fragmented(emulator: EmulatorProcess, device: Device) -> None:
    connect(emulator, device, do="fragment", size=2)
    assert [read_frame(device) for _ in range(2)] == [(BINARY, CONNACK[:2]), (FINAL, CONNACK[2:])]


def test_packets_are_joined_in_a_frame(emulator: EmulatorProcess, device: Device) -> None:
    connect(emulator, device, do="join")
    device.send(frame(packet(0xC0)))
    assert read_frame(device) == (FINAL | BINARY, CONNACK + b"\xd0\0")


def test_silence_sends_no_frame_either(emulator: EmulatorProcess, device: Device) -> None:
    connect(emulator, device, {"on": "pingresp", "do": "fragment", "size": 1}, do="silence")
    device.send(frame(packet(0xC0)))
    device.set_timeout(0.3)
    with pytest.raises(TimeoutError):
        read_frame(device)
