"""Connections for a session with the hub: the device's own, or a unix socket behind which somebody has one."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from dpsd.configuration.settings import Network
from dpsd.credentials.credential import Credential, Signer
from dpsd.errors import Problem
from dpsd.network.connecting import make_password, open_stream
from dpsd.network.diagnosis import make_connection_problem
from dpsd.network.tls import make_tls_problem
from dpsd.protocol import sas
from dpsd.protocol.identifiers import DPS_PORT, Endpoint
from dpsd.protocol.mqtt.packets import Connect
from dpsd.secret import Secret
from dpsd.state.connection import Connection
from dpsd.system.deadline import Report
from dpsd.text import printable

TOKEN_LIFETIME = 3600
"""Seconds that a SAS token is valid, as in Microsoft's SDK for Python; the hub ends the connection with it."""


class Stream(Protocol):
    """A connection that stands and does not block.

    `pending` tells of bytes that no select sees, `failure` of the error that ended it. Its methods raise OSError;
    ssl.SSLWantReadError, ssl.SSLWantWriteError and BlockingIOError for "not now".
    """

    @property
    def failure(self) -> ssl.SSLError | None: ...
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes, /) -> int: ...
    def pending(self) -> int: ...
    def fileno(self) -> int: ...
    def setblocking(self, blocking: bool, /) -> None: ...
    def close(self) -> None: ...


class Opened(NamedTuple):
    """A stream, what to log in with on it, and how to name an error of it."""

    stream: Stream
    connect: Connect
    name_error: Callable[[OSError], Problem]


class Opener(Protocol):
    """Where a session's connections come from."""

    def open(self) -> Opened:
        """Connect; raises Problem."""

    def is_refused(self) -> bool:
        """The last login was refused: return whether another one should be tried at once."""


class DirectOpener:
    """Connects to the hub itself, with a new token for each connection.

    login: what to log in with, but for the password. keep: whether the hub keeps subscriptions and messages meanwhile.
    """

    def __init__(
        self, connection: Connection, network: Network, credential: Credential, login: Connect, report: Report
    ) -> None:
        self._connection, self._network, self._credential = connection, network, credential
        self._login, self._report = login, report
        self._transport: str | None = connection.mqtt.transport
        self._keys: Sequence[Signer | None] = credential.keys or (None,)
        self._refused = 0

    def open(self) -> Opened:
        endpoint = Endpoint(self._connection.mqtt.host, DPS_PORT)
        stream, way = open_stream(endpoint, self._network, self._credential, self._report, self._transport)
        self._transport = way.transport
        return Opened(stream, self._login._replace(password=self._password()), lambda error: _name(endpoint, error))

    def _password(self) -> Secret | None:
        """Return a token by one of the keys, None where the certificate proves the device."""
        resource = sas.make_hub_resource(self._connection.iothub_hostname, self._connection.device_id)
        token = make_password(self._keys[self._refused % len(self._keys)], resource, TOKEN_LIFETIME)
        return None if token is None else Secret(token.encode())

    def is_refused(self) -> bool:
        """Take the other key the next time; at once until each was refused."""
        self._refused += 1
        return self._refused % len(self._keys) != 0


def _name(endpoint: Endpoint, error: OSError) -> Problem:
    return (
        make_tls_problem(endpoint, error)
        if isinstance(error, ssl.SSLError)
        else make_connection_problem(endpoint, error)
    )


class SocketOpener:
    """Connects to a unix socket, behind which somebody else is logged in as the device."""

    def __init__(self, path: str, login: Connect) -> None:
        self._path, self._login = path, login

    def open(self) -> Opened:
        stream = PlainStream(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self._path)
        except OSError as error:
            stream.close()
            raise self._name(error) from None
        return Opened(stream, self._login, self._name)

    def is_refused(self) -> bool:
        return False

    def _name(self, error: OSError) -> Problem:
        if isinstance(error, PermissionError):
            return Problem("not-permitted", f"{printable(self._path)} may not be opened by this user")
        if isinstance(error, (ConnectionResetError, BrokenPipeError)):
            return Problem("connection-lost", f"{printable(self._path)} was closed by the other side")
        said = error.strerror or type(error).__name__
        return Problem("connection-failed", f"cannot connect to {printable(self._path)}: {said}")


class PlainStream(socket.socket):
    """A socket without TLS."""

    failure: ssl.SSLError | None = None

    def pending(self) -> int:
        return 0
