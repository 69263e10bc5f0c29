"""MQTT over WebSocket, spoken by hand: RFC 6455's opening handshake and masked frames."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Iterator

import pytest

from tests.emulator.device import Device, connect_packet, packet
from tests.emulator.frames import KEY, frame, read_frame, upgrade
from tests.emulator_process import EmulatorProcess

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """An emulator with WebSocket on a free port, since 443 is not permitted everywhere."""
    with EmulatorProcess(tmp_path_factory.mktemp("emulator"), websocket_port=0) as process:
        yield process
    assert not (process.directory / "errors.txt").read_text()


@pytest.fixture
def device(emulator: EmulatorProcess) -> Iterator[Device]:
    with Device(emulator.address, emulator.websocket_port, emulator.ca, emulator.device("x509-individual")) as opened:
        yield opened


@pytest.mark.parametrize("spelling", ["mqtt", "MQTT"])
def test_the_subprotocol_is_echoed_as_the_client_wrote_it(device: Device, spelling: str) -> None:
    status, headers = upgrade(device, protocol=spelling)
    assert status.startswith("HTTP/1.1 101 ")
    assert headers["sec-websocket-protocol"] == spelling
    expected = base64.b64encode(hashlib.sha1((KEY + GUID).encode()).digest()).decode()
    assert headers["sec-websocket-accept"] == expected


@pytest.mark.parametrize(
    ("path", "protocol", "status"),
    [("/", "mqtt", 404), ("/$iothub/websocket", "amqp", 400), ("/$iothub/websocket", "", 400)],
)
def test_any_other_upgrade_is_refused(device: Device, path: str, protocol: str, status: int) -> None:
    assert upgrade(device, path, protocol)[0].startswith(f"HTTP/1.1 {status} ")


def test_a_query_is_allowed(device: Device) -> None:
    assert upgrade(device, "/$iothub/websocket?iothub-no-client-cert=true")[0].startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_packets_and_frames_need_not_coincide(emulator: EmulatorProcess, device: Device, size: int) -> None:
    upgrade(device)
    username = f"{emulator.id_scope}/registrations/x509-individual/api-version=2019-03-31"
    data = connect_packet("x509-individual", username) + packet(0xC0)
    pieces = [data[begin : begin + size] for begin in range(0, len(data), size)]
    device.send(*(frame(piece) for piece in pieces))
    assert read_frame(device) == (0x82, b"\x20\x02\0\0")
    assert read_frame(device) == (0x82, b"\xd0\0")


def test_a_message_may_be_fragmented_and_pinged_in_between(emulator: EmulatorProcess, device: Device) -> None:
    upgrade(device)
    username = f"{emulator.id_scope}/registrations/x509-individual/api-version=2019-03-31"
    data = connect_packet("x509-individual", username)
    device.send(frame(data[:20], final=False), frame(b"ping", opcode=9), frame(data[20:], opcode=0))
    assert read_frame(device) == (0x8A, b"ping")
    assert read_frame(device) == (0x82, b"\x20\x02\0\0")


@pytest.mark.parametrize("data", [frame(b"text", opcode=1), b"\x82\x04mqtt", frame(b"", opcode=8)])
def test_frames_that_mqtt_does_not_have_close_the_connection(device: Device, data: bytes) -> None:
    upgrade(device)
    device.send(data)
    assert read_frame(device)[0] == 0x88
    with pytest.raises((EOFError, ssl.SSLError)):
        device.raw(1)
