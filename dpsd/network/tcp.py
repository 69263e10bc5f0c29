"""A TCP connection to the address of a name that answers first.

As in RFC 8305, IPv6 and IPv4 addresses are tried in turns. The next address is tried as soon as the last one failed, or
STAGGER seconds after it began, while the earlier ones go on: so a network that drops the packets of one address family
costs STAGGER rather than a time-out.
"""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence

from dpsd.errors import Problem
from dpsd.network.diagnosis import check_interface, has_route, make_connection_problem
from dpsd.network.resolve import Address
from dpsd.protocol.identifiers import Endpoint

CONNECT_LIMIT = 10
"""Seconds for all addresses of a name together."""
STAGGER = 0.25
"""Seconds, RFC 8305's Connection Attempt Delay."""
_UNROUTED = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""Errors that the kernel reports at once for an address that it cannot route to."""


def connect(endpoint: Endpoint, addresses: Sequence[Address]) -> socket.socket:
    """Connect to the first of the addresses that answers, at the endpoint's port.

    Raises Problem `connection-refused`, `connection-failed`, `connection-lost`, `no-answer`, `no-interface`,
    `radio-blocked`, `no-route` or `no-ipv4-route`.
    """
    race = _Race(interleave(addresses), endpoint.port)
    try:
        winner = race.run()
    finally:
        race.close()
    if winner is None:
        raise _make_problem(endpoint, addresses, race.errors)
    winner.setblocking(True)
    winner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return winner


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with the two families in turns, beginning with that of the first address."""
    first = [one for one in addresses if one.family == addresses[0].family]
    second = [one for one in addresses if one.family != addresses[0].family]
    pairs = itertools.zip_longest(first, second)
    return [one for pair in pairs for one in pair if one is not None]


class _Race:
    """Connections that are being made at the same time. errors: those of the connections that failed."""

    def __init__(self, addresses: Sequence[Address], port: int) -> None:
        self._waiting = deque(addresses)
        self._port = port
        self._running: list[socket.socket] = []
        self.errors: list[OSError] = []

    def run(self) -> socket.socket | None:
        """Return the connection that is made first, which the caller closes; None if none is made in time."""
        end = time.monotonic() + CONNECT_LIMIT
        while self._waiting or self._running:
            if self._waiting:
                self._start(self._waiting.popleft())
            left = end - time.monotonic()
            if left <= 0:
                self.errors.append(TimeoutError())
                return None
            if (winner := self._wait(min(STAGGER, left) if self._waiting else left)) is not None:
                return winner
        return None

    def _start(self, address: Address) -> None:
        try:
            connection = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self.errors.append(error)
            return
        self._running.append(connection)
        code = connection.connect_ex(address.at(self._port))
        if code not in (0, errno.EINPROGRESS):
            self._drop(connection, code)

    def _wait(self, seconds: float) -> socket.socket | None:
        """Return a connection that was made within `seconds`; None after that time, or as soon as one fails."""
        if not self._running:
            return None
        for connection in select.select([], self._running, [], seconds)[1]:
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                self._running.remove(connection)
                return connection
            self._drop(connection, code)
        return None

    def _drop(self, connection: socket.socket, code: int) -> None:
        self._running.remove(connection)
        connection.close()
        self.errors.append(OSError(code, os.strerror(code)))

    def close(self) -> None:
        """Close the connections that are still being made."""
        for connection in self._running:
            connection.close()


def _make_problem(endpoint: Endpoint, addresses: Sequence[Address], errors: Sequence[OSError]) -> Problem:
    """Return the Problem of the failure that says most."""
    telling = [error for error in errors if error.errno not in _UNROUTED]
    if telling:
        return make_connection_problem(endpoint, min(telling, key=_rank))
    try:
        check_interface()
    except Problem as problem:
        return problem
    families = {address.family for address in addresses}
    if any(has_route(family) for family in families):
        return make_connection_problem(endpoint, errors[0])
    if families == {socket.AF_INET} and has_route(socket.AF_INET6):
        return Problem("no-ipv4-route", f"{endpoint.host} has IPv4 addresses only, and this network routes only IPv6")
    return Problem("no-route", f"no route leads to {endpoint}")


def _rank(error: OSError) -> int:
    """Return the rank of an error, 0 for those that say most: an answer says more than silence."""
    if isinstance(error, ConnectionError):
        return 0
    return 1 if isinstance(error, TimeoutError) else 2
