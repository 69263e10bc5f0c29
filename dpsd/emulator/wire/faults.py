"""The faults file: what goes wrong on purpose, as a list of rows. Pure.

A row says `on` which moment and what to `do`; its other names are details of that, or narrow it down:

    {"on": "register-reply", "do": "reply", "status": 429, "retryAfter": "7", "nth": 1, "times": 2}

on    coming in: accept upgrade connect subscribe unsubscribe register poll acknowledge telemetry twin ping disconnect
      going out: upgrade-reply connack suback unsuback puback register-reply poll-reply twin-reply pingresp
      (accept: of TCP. acknowledge: the client's PUBACK. upgrade, upgrade-reply: HTTP's, before WebSocket)
do    drop         end TCP without an end of TLS: at once, or after what goes out has been sent
      reset        end TCP by a reset (RST)
      hang-up      end TLS and TCP in order
      silence      send nothing from now on, and keep the connection
      delay        wait `seconds` first
      raw          send the bytes of `hex`, or `size` random ones: in place of what goes out, or before any answer
   only on what goes out:
      omit         do not send it
      duplicate    send it twice
      cut          send its first `size` bytes, then do as drop does
      split        send it in pieces of `size` bytes, each in a TLS record, or WebSocket frame, of its own
      join         keep it, and send it in one piece with what goes out next
      code         connack and suback: send this `code`
      reply        register-reply and poll-reply: `status`, `requestId` (null: none), `retryAfter` (text; null: none),
                   `topic`, `body` (text), `bodyHex`, `bodySize` (that many bytes of a valid object), `bodyCut` (only
                   so many bytes of the body), `errorCode` and `message`, `registrationStatus` and `state` (its members
                   are put over registrationState; null: removed)
   only on accept:
      certificate  show the server certificate `which`: expired | not-yet-valid | wrong-name | unknown-ca
      tls          speak only `version`: 1.0 | 1.1 | 1.2 | 1.3; with `trust` none (else: any) ask for a client
                   certificate and refuse every one
      alert        answer the client's hello by the TLS alert `which`: handshake-failure | bad-certificate |
                   certificate-expired | unknown-ca | access-denied | protocol-version | insufficient-security |
                   internal-error | unrecognized-name
   only over WebSocket:
      http         upgrade-reply: HTTP `status`, `headers` (put over the right ones; null: removed) and `body` (text)
      frame        first send a frame of `kind` ping | pong | text | close | reserved with the bytes of `hex`, at most
                   125; close ends the connection
      fragment     send the message in frames of `size` bytes
client     only this registration or device id; it is not known before connect
service    only dps | hub; it is not known before connect
transport  only mqtt | websocket
nth        the first time that it happens, counted from 1     times    how often from then on; 0: always; default 1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from dpsd.emulator.wire.encoding import STRING_LIMIT
from dpsd.emulator.wire.moments import Fault, Faults
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
SECONDS_LIMIT = 1e6

Check = Callable[[Table, str], object]
"""Checks a member that may be missing; raises ShapeError."""


def _one_of(words: Iterable[str]) -> Check:
    known = tuple(words)

    def check(table: Table, key: str) -> None:
        if table.optional_string(key) not in (None, *known):
            raise ShapeError(f"{table.path}.{key}: is not one of {', '.join(known)}")

    return check


def _between(lowest: int, highest: int) -> Check:
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


def _text(longest: int) -> Check:
    """Check text that is sent as it is, so must have a form in UTF-8; longest: in bytes."""

    def check(table: Table, key: str) -> None:
        try:
            size = len((table.optional_string(key) or "").encode())
        except UnicodeEncodeError:
            raise ShapeError(f"{table.path}.{key}: has half of a surrogate pair") from None
        if size > longest:
            raise ShapeError(f"{table.path}.{key}: is longer than {longest} bytes")

    return check


def _check_seconds(table: Table, key: str) -> None:
    value = table.values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= SECONDS_LIMIT:
        raise ShapeError(f"{table.path}.{key}: expected a number of seconds")


def _check_headers(table: Table, key: str) -> None:
    headers = table.optional_table(key) or Table({})
    for name in headers.values:
        _LINE(headers, name)
        _LINE(Table({"name": name}, headers.path), "name")


class Effect(NamedTuple):
    """What a row can do. moments: at which; details: their names and checks; required: those that must be there."""

    moments: tuple[str, ...]
    details: Mapping[str, Check] = {}
    required: tuple[str, ...] = ()
    websocket: bool = False


_LINE = _text(16 * 1024)
_BODY = _text(SIZE_LIMIT)
_SIZE = {"size": _between(1, SIZE_LIMIT)}
_REPLY: dict[str, Check] = {
    "status": _between(0, 9999),
    "requestId": _LINE,
    "retryAfter": _LINE,
    "topic": _text(STRING_LIMIT),
    "body": _BODY,
    "bodyHex": _hex(SIZE_LIMIT),
    "bodySize": _between(0, SIZE_LIMIT),
    "bodyCut": _between(0, SIZE_LIMIT),
    "errorCode": Table.optional_integer,
    "message": Table.optional_string,
    "registrationStatus": Table.optional_string,
    "state": Table.optional_table,
}
_CERTIFICATES = ("expired", "not-yet-valid", "wrong-name", "unknown-ca")
_TLS: dict[str, Check] = {"version": _one_of(("1.0", "1.1", "1.2", "1.3")), "trust": _one_of(("any", "none"))}
_HTTP: dict[str, Check] = {"status": _between(100, 999), "headers": _check_headers, "body": _BODY}
EFFECTS: dict[str, Effect] = {
    "drop": Effect(MOMENTS),
    "reset": Effect(MOMENTS),
    "hang-up": Effect(MOMENTS),
    "silence": Effect(MOMENTS),
    "delay": Effect(MOMENTS, {"seconds": _check_seconds}, ("seconds",)),
    "raw": Effect(MOMENTS, {"hex": _hex(SIZE_LIMIT), **_SIZE}),
    "omit": Effect(OUTGOING),
    "duplicate": Effect(OUTGOING),
    "cut": Effect(OUTGOING, _SIZE, ("size",)),
    "split": Effect(OUTGOING, _SIZE, ("size",)),
    "join": Effect(PACKETS),
    "code": Effect(("connack", "suback"), {"code": _between(0, 255)}, ("code",)),
    "reply": Effect(("register-reply", "poll-reply"), _REPLY),
    "certificate": Effect(("accept",), {"which": _one_of(_CERTIFICATES)}, ("which",)),
    "tls": Effect(("accept",), _TLS, ("version",)),
    "alert": Effect(("accept",), {"which": _one_of(ALERTS)}, ("which",)),
    "http": Effect(("upgrade-reply",), _HTTP, ("status",), websocket=True),
    "frame": Effect(PACKETS, {"kind": _one_of(FRAMES), "hex": _hex(125)}, ("kind",), websocket=True),
    "fragment": Effect(PACKETS, _SIZE, ("size",), websocket=True),
}
"""What a row can `do`, by its name."""
_NARROWING: dict[str, Check] = {
    "client": Table.optional_string,
    "service": _one_of(("dps", "hub")),
    "transport": _one_of(("mqtt", "websocket")),
    "nth": _between(1, SIZE_LIMIT),
    "times": _between(0, SIZE_LIMIT),
}
_NULLABLE = ("requestId", "retryAfter")


def parse_faults(rows: list[Any]) -> Faults:
    """Parse the list of a faults file; raises ShapeError with the place of the row."""
    return Faults(_parse_fault(row) for row in Table({"faults": rows}).tables("faults"))


def _parse_fault(row: Table) -> Fault:
    for key, words in (("on", MOMENTS), ("do", EFFECTS)):
        row.string(key)
        _one_of(words)(row, key)
    effect = EFFECTS[row.values["do"]]
    if row.values["on"] not in effect.moments:
        raise ShapeError(f"{row.path}.do: {row.values['do']} is not for {row.values['on']}")
    _check_members(row, effect)
    _check_narrowing(row, effect)
    return Fault(row, "websocket" if effect.websocket else row.optional_string("transport"))


def _check_members(row: Table, effect: Effect) -> None:
    checks = {**_NARROWING, **effect.details}
    row.check_names(("on", "do", *checks))
    for key in (*effect.required, *row.values):
        if row.values.get(key) is None and key not in _NULLABLE:
            raise ShapeError(f"{row.path}.{key}: is missing")
    for key in row.values.keys() & checks.keys():
        checks[key](row, key)


def _check_narrowing(row: Table, effect: Effect) -> None:
    """Refuse a row that can never happen: a test that waits for it would show nothing."""
    on = row.values["on"]
    for key in ("client", "service"):
        if on in ("accept", *UPGRADE) and key in row.values:
            raise ShapeError(f"{row.path}.{key}: is not known at {on}")
    if (effect.websocket or on in UPGRADE) and row.values.get("transport") == "mqtt":
        raise ShapeError(f"{row.path}.transport: this is for websocket")
