"""The requests and replies of the root service dpsd-keys, one packet each.

The verbs are fixed, and no request contains a path.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from dpsd.errors import Problem, ProtocolError, encode_problem
from dpsd.shape import ShapeError, parse_object
from dpsd.state.messages import parse_problem

SOURCES = ("rpi-firmware", "systemd", "file")
"""The key sources, the strongest first."""
SALT_SIZE = 32
"""Bytes."""
REQUEST_LIMIT = 2048
"""Bytes; the firmware signs no longer message."""
REPLY_LIMIT = 8192
FINGERPRINT = b"dpsd credential fingerprint v1"
"""The text that a symmetric key signs to make its fingerprint, which is the same in every store."""
# The firmware's key may also be the key of the disk. So the service signs only what DPS and IoT Hub verify, and nothing
# that would help with another use of the key.
_RESOURCE = rb"[A-Za-z0-9._~%-]+%2F(registrations|devices)%2F[A-Za-z0-9._~%-]+"
_SIGNABLE = re.compile(_RESOURCE + rb"\n[0-9]{1,15}")
_DERIVE = re.compile(rb"derive ([a-z-]+) ([0-9a-f]{%d})" % (2 * SALT_SIZE))
_SIGN = re.compile(rb"sign ([1-9][0-9]{0,2}) (.+)", re.DOTALL)


class Derive(NamedTuple):
    """A request for the secret that `source` has for `salt`, and for the public name of its key."""

    source: str
    salt: bytes


class Sign(NamedTuple):
    """A request for the HMAC of `message` under a key in the Raspberry Pi's firmware."""

    key_id: int
    message: bytes


def encode_request(request: Derive | Sign) -> bytes:
    """Return the packet of a request."""
    if isinstance(request, Derive):
        return f"derive {request.source} {request.salt.hex()}".encode()
    return f"sign {request.key_id} ".encode() + request.message


def parse_request(packet: bytes) -> Derive | Sign:
    """Parse a request that the service may answer; raises ProtocolError, which never repeats it."""
    derive, sign = _DERIVE.fullmatch(packet), _SIGN.fullmatch(packet)
    if len(packet) > REQUEST_LIMIT:
        raise ProtocolError(f"the request has more than {REQUEST_LIMIT} bytes")
    if derive and derive[1].decode() in SOURCES:
        return Derive(derive[1].decode(), bytes.fromhex(derive[2].decode()))
    if sign and int(sign[1]) < 256 and is_signable(sign[2]):
        return Sign(int(sign[1]), sign[2])
    raise ProtocolError("this service does not answer such a request")


def is_signable(message: bytes) -> bool:
    """Tell whether a message is the text of a shared access signature, or of a fingerprint."""
    return message == FINGERPRINT or _SIGNABLE.fullmatch(message) is not None


def encode_reply(*values: bytes) -> bytes:
    """Return the packet of a reply with these values."""
    return json.dumps({"answer": [value.hex() for value in values]}).encode()


def encode_refusal(problem: Problem) -> bytes:
    """Return the packet of a reply that refuses the request."""
    return json.dumps({"problem": encode_problem(problem)}).encode()[:REPLY_LIMIT]


def parse_reply(packet: bytes, number: int) -> list[bytes]:
    """Return the `number` values of a reply; raises the Problem of a refusal, or ShapeError."""
    table = parse_object(packet, "reply")
    problem = table.optional_table("problem")
    if problem is not None:
        raise parse_problem(problem)
    values = table.list("answer")
    try:
        decoded = [bytes.fromhex(value) for value in values]
    except (TypeError, ValueError):
        raise ShapeError("reply.answer: expected hexadecimal") from None
    if len(decoded) != number:
        raise ShapeError(f"reply.answer: expected {number} values")
    return decoded
