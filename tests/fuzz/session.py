"""Targets for what comes over a connection: MQTT, alone or in WebSocket, to the real client; TLS; proxies' answers.

There is no TLS under these, so that an execution costs no handshake: the client gets one end of a pair of sockets, and
everything else is as it is on a device. `test_session.py` does the same over real TLS.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from dpsd.configuration.proxy import HTTP, SOCKS5, Proxy
from dpsd.errors import ProtocolError
from dpsd.network.mqtt import Session
from dpsd.network.tls import make_context, shake_hands
from dpsd.network.tunnel import open_tunnel
from dpsd.network.websocket import WebSocket, upgrade
from dpsd.protocol.identifiers import Endpoint
from dpsd.protocol.registration import Finish, Ignore, Publish, Registration, StartOver, Wait
from dpsd.protocol.transports import MQTT, WEBSOCKET, Way
from dpsd.protocol.websocket import parse_upgrade_reply
from tests.fuzz.credentials import good
from tests.fuzz.endings import problems, refusing
from tests.fuzz.files import put
from tests.fuzz.network import FROM_DPS, check_assignment

FROM_MQTT = (
    *("connection-lost", "connection-failed", "dps-reply-invalid"),
    *("mqtt-rejected", "mqtt-unavailable", "mqtt-unauthorized", "mqtt-subscribe-refused"),
)
"""How a session may end besides what DPS decides."""
FROM_PROXY = ("proxy-refused", "proxy-failed", "proxy-unauthorized")
ENDPOINT = Endpoint("dps.test", 8883)
PASSWORD = b"c2VjcmV0IHBhc3N3b3Jk"
"""Of the proxy's user."""


class Unencrypted(socket.socket):
    """A socket that passes for one of TLS. deaf: what is sent stays in the kernel; else it is read at once."""

    failure = None
    deaf = False

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(data, flags) if self.deaf else len(data)

    def setsockopt(self, *_: Any) -> None:
        """There is no TCP whose delays could be turned off."""

    def pending(self) -> int:
        return 0

    def getpeercert(self) -> dict[str, Any]:
        return {}


@contextlib.contextmanager
def wired(data: bytes, *, ends: bool = True, deaf: bool = False) -> Iterator[Any]:
    """A connection whose other side sends `data`, then closes its direction if it `ends`. deaf: it reads nothing."""
    client, server = socket.socketpair()
    with server, Unencrypted(fileno=client.detach()) as wire:
        server.setblocking(False)
        server.send(data)
        wire.deaf = deaf
        if ends:
            server.shutdown(socket.SHUT_WR)
        yield wire


def session_on(wire: Any, transport: str = MQTT) -> Session:
    """A session on a connection that stands."""
    return Session(wire, Way(transport, ENDPOINT), "pi-1", "user", None)


def mqtt_bytes(data: bytes) -> None:
    """Register with a server that sends just this."""
    with wired(data) as wire, contextlib.closing(session_on(wire)) as session, problems(*FROM_MQTT, *FROM_DPS):
        converse(session)


def websocket_bytes(data: bytes) -> None:
    """The same inside WebSocket, after its opening handshake; half of it may come with the handshake's answer."""
    half = len(data) // 2
    with wired(data[half:]) as wire:
        try:
            stream = WebSocket(wire, data[:half])
        except ProtocolError:
            return
        with contextlib.closing(session_on(stream, WEBSOCKET)) as session, problems(*FROM_MQTT, *FROM_DPS):
            converse(session)


def websocket_answer(data: bytes) -> None:
    """What answers the opening handshake."""
    with refusing(ProtocolError):
        assert 0 <= parse_upgrade_reply(data).status <= 999
    with wired(data) as wire, problems("intercepted", "connection-lost", "connection-failed"):
        upgrade(wire, ENDPOINT, "/")


def tls_bytes(data: bytes) -> None:
    """A server's side of the TLS handshake, to the real client."""
    with (
        wired(data) as wire,
        problems("tls-failed", "tls-alert", "intercepted", "connection-lost", "connection-failed"),
    ):
        shake_hands(wire, client_context(), ENDPOINT).close()


@functools.cache
def client_context() -> ssl.SSLContext:
    return make_context(good("pem"))


def proxy_connect(data: bytes) -> None:
    """An HTTP proxy's answer to CONNECT."""
    through_proxy(HTTP, data, PASSWORD)


def proxy_socks(data: bytes) -> None:
    """A SOCKS5 proxy's answers."""
    through_proxy(SOCKS5, data, PASSWORD)


def proxy_password(data: bytes) -> None:
    """The file with the password of the proxy's user."""
    through_proxy(HTTP, b"HTTP/1.1 407 %b\r\n\r\n" % data[:50].replace(b"\n", b""), data)
    through_proxy(SOCKS5, b"\5\2\1\1", data)


def through_proxy(scheme: str, answers: bytes, password: bytes) -> None:
    proxy = Proxy(scheme, Endpoint("proxy.test", 3128), "user")
    secret = password + b"\n" + base64.b64encode(b"user:" + password.rstrip(b"\r\n"))
    with wired(answers) as wire, problems(*FROM_PROXY, "credential-invalid", secret=secret):
        open_tunnel(wire, proxy, put("proxy.password", password), ENDPOINT).close()


def converse(session: Session) -> None:
    """Register; waits are over at once."""
    machine = Registration("pi-1", None, "a")
    session.open()
    session.subscribe(machine.start().topic_filter)
    action: Publish | Wait | Ignore | StartOver | Finish = machine.subscribed()
    while not isinstance(action, Finish):
        if isinstance(action, StartOver):
            return
        if isinstance(action, Wait):
            session.idle(0)
            action = machine.waited()
        if isinstance(action, Publish):
            session.publish(action.topic, action.body)
        action = machine.received(*session.receive())
    check_assignment(action.assignment)


TARGETS = {
    "tls-bytes": tls_bytes,
    "mqtt-bytes": mqtt_bytes,
    "websocket-bytes": websocket_bytes,
    "websocket-answer": websocket_answer,
    "proxy-connect": proxy_connect,
    "proxy-socks": proxy_socks,
    "proxy-password": proxy_password,
}
