"""What a row of faults can do: each deed with its moments, and a check for each detail that it may name. Pure.

What they mean stands in `dpsd.emulator.wire.faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from dpsd.shape import ShapeError, Table

UPGRADE = ("upgrade", "upgrade-reply")
INCOMING = (
    *("accept", "upgrade", "connect", "subscribe", "unsubscribe", "register", "poll", "acknowledge"),
    *("telemetry", "twin", "ping", "disconnect"),
)
PACKETS = ("connack", "suback", "unsuback", "puback", "register-reply", "poll-reply", "twin-reply", "pingresp")
OUTGOING = ("upgrade-reply", *PACKETS)
MOMENTS = (*INCOMING, *OUTGOING)
ALERTS = {
    "handshake-failure": 40,
    "bad-certificate": 42,
    "certificate-expired": 45,
    "unknown-ca": 48,
    "access-denied": 49,
    "protocol-version": 70,
    "insufficient-security": 71,
    "internal-error": 80,
    "unrecognized-name": 112,
}
"""TLS alerts by the names of RFC 5246."""
FRAMES = {"text": 1, "reserved": 3, "close": 8, "ping": 9, "pong": 10}
"""WebSocket opcodes (RFC 6455, section 5.2)."""
SIZE_LIMIT = 1 << 20
"""Bytes of the largest thing that a row makes."""

Check = Callable[[Table, str], object]
"""Reads a detail that may be missing; raises ShapeError."""


def word(words: Iterable[str]) -> Check:
    known = tuple(words)

    def check(table: Table, key: str) -> None:
        if table.optional_string(key) not in (None, *known):
            raise ShapeError(f"{table.path}.{key}: is not one of {', '.join(known)}")

    return check


def whole(lowest: int, highest: int) -> Check:
    def check(table: Table, key: str) -> None:
        number = table.optional_integer(key)
        if number is not None and not lowest <= number <= highest:
            raise ShapeError(f"{table.path}.{key}: is not between {lowest} and {highest}")

    return check


def _hex(longest: int) -> Check:
    def check(table: Table, key: str) -> None:
        try:
            size = len(bytes.fromhex(table.optional_string(key) or ""))
        except ValueError:
            raise ShapeError(f"{table.path}.{key}: is not hexadecimal") from None
        if size > longest:
            raise ShapeError(f"{table.path}.{key}: is longer than {longest} bytes")

    return check


def _seconds(table: Table, key: str) -> None:
    value = table.values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ShapeError(f"{table.path}.{key}: expected a number of seconds")


def _headers(table: Table, key: str) -> None:
    headers = table.optional_table(key) or Table({})
    for name in headers.values:
        headers.optional_string(name)


class Deed(NamedTuple):
    """What can be done. moments: at which; details: their names and checks; required: the ones that must be there."""

    moments: tuple[str, ...]
    details: Mapping[str, Check] = {}
    required: tuple[str, ...] = ()
    websocket: bool = False


_SIZE = {"size": whole(1, SIZE_LIMIT)}
_REPLY: dict[str, Check] = {
    "status": whole(0, 9999),
    "requestId": Table.optional_string,
    "retryAfter": Table.optional_string,
    "topic": Table.optional_string,
    "body": Table.optional_string,
    "bodyHex": _hex(SIZE_LIMIT),
    "bodySize": whole(0, SIZE_LIMIT),
    "bodyCut": whole(0, SIZE_LIMIT),
    "errorCode": Table.optional_integer,
    "message": Table.optional_string,
    "registrationStatus": Table.optional_string,
    "state": Table.optional_table,
}
DEEDS: dict[str, Deed] = {
    "drop": Deed(MOMENTS),
    "reset": Deed(MOMENTS),
    "hang-up": Deed(MOMENTS),
    "silence": Deed(MOMENTS),
    "delay": Deed(MOMENTS, {"seconds": _seconds}, ("seconds",)),
    "raw": Deed(MOMENTS, {"hex": _hex(SIZE_LIMIT), **_SIZE}),
    "omit": Deed(OUTGOING),
    "duplicate": Deed(OUTGOING),
    "cut": Deed(OUTGOING, _SIZE, ("size",)),
    "split": Deed(OUTGOING, _SIZE, ("size",)),
    "join": Deed(PACKETS),
    "code": Deed(("connack", "suback"), {"code": whole(0, 255)}, ("code",)),
    "reply": Deed(("register-reply", "poll-reply"), _REPLY),
    "certificate": Deed(
        ("accept",), {"which": word(("expired", "not-yet-valid", "wrong-name", "unknown-ca"))}, ("which",)
    ),
    "tls": Deed(
        ("accept",), {"version": word(("1.0", "1.1", "1.2", "1.3")), "trust": word(("any", "none"))}, ("version",)
    ),
    "alert": Deed(("accept",), {"which": word(ALERTS)}, ("which",)),
    "http": Deed(
        ("upgrade-reply",),
        {"status": whole(100, 999), "headers": _headers, "body": Table.optional_string},
        ("status",),
        websocket=True,
    ),
    "frame": Deed(PACKETS, {"kind": word(FRAMES), "hex": _hex(125)}, ("kind",), websocket=True),
    "fragment": Deed(PACKETS, _SIZE, ("size",), websocket=True),
}
