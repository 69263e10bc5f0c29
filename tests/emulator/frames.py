"""WebSocket by hand for tests: the opening handshake of RFC 6455 and its frames."""

from __future__ import annotations

import base64
import struct

from tests.emulator.device import Device

KEY = base64.b64encode(b"sixteen bytes ok").decode()


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
    """Return the first byte, which holds the opcode and 0x80 for a final frame, and the data of a frame."""
    first, size = device.raw(2)
    if size == 126:
        (size,) = struct.unpack("!H", device.raw(2))
    return first, device.raw(size)
