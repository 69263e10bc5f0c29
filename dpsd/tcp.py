"""A TCP connection, with what went wrong named. Floor 2."""

from __future__ import annotations

import errno
import socket

from dpsd.errors import Problem
from dpsd.protocol.identifiers import Endpoint

CONNECT_TIMEOUT = 10
"""Seconds for one address of a name; the step's own limit covers them all."""


def connect(endpoint: Endpoint) -> socket.socket:
    """Connect to the first address that answers.

    Raises Problem `name-not-resolved`, `connection-refused`, `connection-failed` or `no-answer`.
    """
    try:
        connection = socket.create_connection((endpoint.host, endpoint.port), timeout=CONNECT_TIMEOUT)
    except socket.gaierror as error:
        raise Problem("name-not-resolved", f"cannot resolve {endpoint.host}: {error.strerror}") from None
    except OSError as error:
        raise connection_problem(endpoint, error) from None
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


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
