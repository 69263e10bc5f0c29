"""A device for tests: MQTT packets made by hand over the standard library's TLS, not by the emulator's codec."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import struct
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

TIMEOUT = 10.0


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("!H", len(data)) + data


def packet(first: int, body: bytes = b"") -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = rest >> 7, rest & 0x7F
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([first]) + bytes(length) + body


def connect_packet(
    client_id: str,
    username: str,
    password: str | None = None,
    *,
    clean: bool = True,
    keep_alive: int = 60,
    level: int = 4,
) -> bytes:
    flags = 0x80 | (0x40 if password is not None else 0) | (0x02 if clean else 0)
    head = string("MQTT") + bytes([level, flags]) + struct.pack("!H", keep_alive)
    return packet(
        0x10, head + string(client_id) + string(username) + (string(password) if password is not None else b"")
    )


def subscribe_packet(packet_id: int, *filters: tuple[str, int]) -> bytes:
    topics = b"".join(string(name) + bytes([qos]) for name, qos in filters)
    return packet(0x82, struct.pack("!H", packet_id) + topics)


def publish_packet(topic: str, body: bytes = b"", *, qos: int = 1, packet_id: int = 7, retain: bool = False) -> bytes:
    number = struct.pack("!H", packet_id) if qos else b""
    return packet(0x30 | qos << 1 | retain, string(topic) + number + body)


def token(resource: str, key: str | bytes, expiry: int, key_name: str | None = "registration") -> str:
    """Make a SAS token from scratch; key: base64."""
    encoded = quote(resource, safe="")
    digest = hmac.new(base64.b64decode(key), f"{encoded}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={encoded}&sig={signature}&se={expiry}" + (f"&skn={key_name}" if key_name else "")


IGNORED_END = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 1 << 7)
"""SSL_OP_IGNORE_UNEXPECTED_EOF, which Debian 12's Python sets by default."""


class Device:
    """A TLS connection that sends raw packets and reads packets as (first byte, body); a context manager.

    ragged: whether an end of TCP without one of TLS is an error.
    """

    def __init__(
        self,
        address: str,
        port: int,
        ca: Path,
        credential: Path | None = None,
        context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
        ragged: bool = False,
    ) -> None:
        context = context or ssl.create_default_context(cafile=str(ca))
        if credential:
            context.load_cert_chain(credential / "device.pem", credential / "device.key")
        tcp = socket.create_connection((address, port), timeout)
        try:
            if ragged:
                context.options &= ~IGNORED_END
            self._tls = context.wrap_socket(tcp, server_hostname=address, suppress_ragged_eofs=not ragged)
        except BaseException:
            tcp.close()
            raise

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tls.close()

    def set_timeout(self, seconds: float) -> None:
        self._tls.settimeout(seconds)

    def raw(self, size: int) -> bytes:
        """Return the next bytes, whatever they are."""
        return self._exactly(size)

    def record(self) -> bytes:
        """Return what the next TLS record holds."""
        return self._tls.recv(1 << 14)

    def how_it_ends(self) -> str:
        """Return the exception's name when the server ends the connection out of order, empty when it closes it."""
        try:
            while self._tls.recv(1 << 14):
                pass
        except OSError as error:
            return type(error).__name__
        return ""

    def version(self) -> str | None:
        return self._tls.version()

    def send(self, *packets: bytes) -> None:
        self._tls.sendall(b"".join(packets))

    def read(self) -> tuple[int, bytes]:
        """Return the next packet; raises EOFError when the server has closed the connection."""
        first, length, shift = self._exactly(1)[0], 0, 0
        while True:
            digit = self._exactly(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return first, self._exactly(length)

    def read_publish(self) -> tuple[str, bytes]:
        """Return the next PUBLISH's topic and body, past any PUBACK."""
        first, body = self.read()
        while first >> 4 == 4:
            first, body = self.read()
        assert first >> 4 == 3, f"a packet {first:#x} instead of PUBLISH"
        size = struct.unpack("!H", body[:2])[0]
        return body[2 : 2 + size].decode(), body[2 + size + (2 if first & 6 else 0) :]

    def is_hung_up(self) -> bool:
        """Tell whether the server closes the connection, after whatever it still sends."""
        try:
            while True:
                self.read()
        except EOFError:
            return True
        except TimeoutError:
            return False

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self._tls.recv(size - len(data))
            except ConnectionError:
                piece = b""
            if not piece:
                raise EOFError("the server closed the connection")
            data += piece
        return data

    def connect(self, client_id: str, username: str, password: str | None = None, **options: Any) -> int:
        """Send CONNECT and return the CONNACK code."""
        self.send(connect_packet(client_id, username, password, **options))
        first, body = self.read()
        assert first == 0x20
        return body[1]

    def subscribe(self, name: str, qos: int = 1) -> int:
        """Send SUBSCRIBE and return the granted QoS."""
        self.send(subscribe_packet(5, (name, qos)))
        first, body = self.read()
        assert (first, body[:2]) == (0x90, struct.pack("!H", 5))
        return body[2]

    def request(self, topic: str, body: bytes = b"") -> tuple[str, dict[str, Any]]:
        """Publish a request and return the answer's topic and JSON body."""
        self.send(publish_packet(topic, body))
        answer, data = self.read_publish()
        return answer, json.loads(data)
