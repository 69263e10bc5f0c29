"""The addresses of a host name, within a time limit."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, NamedTuple

from dpsd.errors import Problem

LIMIT = 20
"""Seconds for an answer, less than a step has."""
# The C library reports silence and SERVFAIL alike, as EAI_AGAIN, but it waits 5 s for each name server that is silent.
SLOW = 4
"""Seconds after which EAI_AGAIN is taken for silence."""
_NO_SUCH_NAME = {socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY}


class Address(NamedTuple):
    """One address of a name, in the form of the socket module, without a port."""

    family: int
    sockaddr: tuple[Any, ...]

    def at(self, port: int) -> tuple[Any, ...]:
        """Return the socket address of this port."""
        return (self.sockaddr[0], port, *self.sockaddr[2:])


def parse_address(host: str) -> tuple[Address, ...]:
    """Return the address that `host` spells out; an empty tuple if it is a name."""
    with contextlib.suppress(socket.gaierror):
        return _ask(host, socket.AI_NUMERICHOST)
    return ()


def resolve(host: str) -> tuple[Address, ...]:
    """Return all addresses of `host`, at least one, in the system's order of preference.

    Raises Problem `name-not-resolved`, `dns-unavailable` or `dns-no-answer`.
    """
    return parse_address(host) or _resolve_name(host)


def _resolve_name(host: str) -> tuple[Address, ...]:
    answers: list[tuple[Address, ...] | OSError] = []

    def ask() -> None:
        try:
            answers.append(_ask(host))
        except OSError as error:
            answers.append(error)

    # The C library's resolver cannot be interrupted: it goes on after a signal, and Python's handler runs only when it
    # is done. So a thread asks, which is left behind when the time is over and ends with the attempt's process.
    started = time.monotonic()
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LIMIT)
    if not answers:
        raise Problem("dns-no-answer", f"the name servers have not answered for {host} within {LIMIT} s")
    if isinstance(answers[0], OSError):
        raise _make_problem(host, answers[0], time.monotonic() - started)
    return answers[0]


def _ask(host: str, flags: int = 0) -> tuple[Address, ...]:
    # As bytes: text would load the tables of international names, 1 MiB.
    found = socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM, flags=flags)
    return tuple(Address(family, sockaddr) for family, _, _, _, sockaddr in found)


def _make_problem(host: str, error: OSError, seconds: float) -> Problem:
    if error.errno in _NO_SUCH_NAME:
        return Problem("name-not-resolved", f"cannot resolve {host}: {error.strerror}")
    if seconds >= SLOW:
        return Problem("dns-no-answer", f"the name servers have not answered for {host} within {seconds:.0f} s")
    return Problem("dns-unavailable", f"cannot resolve {host} now: {error.strerror}")
