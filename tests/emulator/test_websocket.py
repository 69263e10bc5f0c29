"""MQTT over WebSocket, spoken by hand: RFC 6455's opening handshake and masked frames."""

from __future__ import annotations

import base64
import hashlib
import ssl
import struct
from collections.abc import Iterator

import pytest

from tests.emulator.device import Device, connect_packet, packet
from tests.emulator_process import EmulatorProcess

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(b"sixteen bytes ok").decode()


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


def upgrade(device: Device, path: str = "/$iothub/websocket", protocol: str = "mqtt") -> tuple[str, dict[str, str]]:
    """Send the opening handshake and return the status line and the headers."""
    head = (f"GET {path} HTTP/1.1", "Host: dps", "Upgrade: websocket", "Connection: Upgrade")
    key = (f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")
    offer = (f"Sec-WebSocket-Protocol: {protocol}",) if protocol else ()
    device.send("\r\n".join((*head, *key, *offer, "", "")).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += device.raw(1)
    status, *lines = answer.decode().split("\r\n")
    return status, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}


def frame(data: bytes, opcode: int = 2, final: bool = True) -> bytes:
    """Make a client's frame of at most 65535 bytes."""
    mask = b"mask"
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + struct.pack("!H", len(data))
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    return bytes([(0x80 if final else 0) | opcode]) + size + mask + masked


def read_frame(device: Device) -> tuple[int, bytes]:
    first, size = device.raw(2)
    return first & 0x0F, device.raw(size)


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
    assert read_frame(device) == (2, b"\x20\x02\0\0")
    assert read_frame(device) == (2, b"\xd0\0")


def test_a_message_may_be_fragmented_and_pinged_in_between(emulator: EmulatorProcess, device: Device) -> None:
    upgrade(device)
    username = f"{emulator.id_scope}/registrations/x509-individual/api-version=2019-03-31"
    data = connect_packet("x509-individual", username)
    device.send(frame(data[:20], final=False), frame(b"ping", opcode=9), frame(data[20:], opcode=0))
    assert read_frame(device) == (10, b"ping")
    assert read_frame(device) == (2, b"\x20\x02\0\0")


@pytest.mark.parametrize("data", [frame(b"text", opcode=1), b"\x82\x04mqtt", frame(b"", opcode=8)])
def test_frames_that_mqtt_does_not_have_close_the_connection(device: Device, data: bytes) -> None:
    upgrade(device)
    device.send(data)
    assert read_frame(device)[0] == 8
    with pytest.raises((EOFError, ssl.SSLError)):
        device.raw(1)
