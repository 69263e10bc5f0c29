"""A TCP connection, with what went wrong named. Floor 2."""

from __future__ import annotations

import errno
import socket
from typing import Any

from dpsd.errors import Problem
from dpsd.protocol.identifiers import Endpoint

CONNECT_TIMEOUT = 10
"""Seconds for one address of a name; the step's own limit covers them all."""


def connect(endpoint: Endpoint) -> socket.socket:
    """Connect to the first address that answers.

    Raises Problem `name-not-resolved`, `connection-refused`, `connection-failed` or `no-answer`.
    """
    refused: Problem | None = None
    for family, kind, protocol, address in _resolve(endpoint):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(CONNECT_TIMEOUT)
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except OSError as error:
            connection.close()
            refused = connection_problem(endpoint, error)
        except BaseException:
            connection.close()
            raise
    raise refused or Problem("name-not-resolved", f"{endpoint.host} has no address")


def _resolve(endpoint: Endpoint) -> list[tuple[int, int, int, Any]]:
    """Resolve the name; as bytes, since text would load the tables of international names (1 MiB)."""
    try:
        found = socket.getaddrinfo(endpoint.host.encode(), endpoint.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Problem("name-not-resolved", f"cannot resolve {endpoint.host}: {error.strerror}") from None
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


def connection_problem(endpoint: Endpoint, error: OSError) -> Problem:
    """Name an OSError of a TCP connection."""
    if isinstance(error, TimeoutError):
        return Problem("no-answer", f"{endpoint} does not answer")
    if isinstance(error, ConnectionRefusedError):
        return Problem("connection-refused", f"{endpoint} refuses the connection")
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return Problem("connection-lost", f"{endpoint} closed the connection")
    what = error.strerror or errno.errorcode.get(error.errno or 0, type(error).__name__)
    return Problem("connection-failed", f"cannot connect to {endpoint}: {what}")
