"""The client of the root service dpsd-keys: one connection, one request and one reply, a packet each."""

from __future__ import annotations

import socket
from typing import NamedTuple

from dpsd.errors import Problem
from dpsd.keys.request import REPLY_LIMIT, Derive, Sign, encode_request, parse_reply
from dpsd.shape import ShapeError
from dpsd.state.places import KEYS_SOCKET

TIME_LIMIT = 30
"""Seconds for a reply; the service ends itself earlier."""


class ServiceKey(NamedTuple):
    """A key in the Raspberry Pi's firmware that signs by way of the service."""

    key_id: int

    def sign(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of `message`, 32 bytes; raises Problem `firmware-*`, `key-helper-unreachable`."""
        return ask_service(Sign(self.key_id, message), 1)[0]


def ask_service(request: Derive | Sign, number: int) -> list[bytes]:
    """Return the `number` values of the reply; raises the service's Problem, or `key-helper-unreachable`."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(TIME_LIMIT)
            connection.connect(KEYS_SOCKET)
            connection.send(encode_request(request))
            return parse_reply(connection.recv(REPLY_LIMIT), number)
    except TimeoutError:
        raise _make_unreachable(f"no answer in {TIME_LIMIT} s") from None
    except OSError as error:
        raise _make_unreachable(error.strerror or "it cannot be asked") from None
    except ShapeError as error:
        raise _make_unreachable(f"it ended without an answer ({error})") from None


def _make_unreachable(why: str) -> Problem:
    return Problem("key-helper-unreachable", f"{KEYS_SOCKET}: {why}")
