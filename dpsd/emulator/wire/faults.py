"""What goes wrong on purpose: rows of a list, consulted by the connection at each moment. Pure.

A row says `on` which moment and what to `do`; the other names narrow it down or belong to the deed:

    {"on": "register-reply", "do": "reply", "status": 429, "retryAfter": "7", "nth": 1, "times": 2}

on    coming in: accept upgrade connect subscribe unsubscribe register poll acknowledge telemetry twin ping disconnect
      going out: upgrade-reply connack suback unsuback puback register-reply poll-reply twin-reply pingresp
      (accept: of TCP. acknowledge: the client's PUBACK. upgrade, upgrade-reply: HTTP's, before WebSocket)
do    drop         end TCP without a word of TLS: at once, or after what goes out has gone
      reset        the same, by a reset (RST)
      hang-up      the same, but closed in order
      silence      from now on nothing is sent; what would go out is not
      delay        wait `seconds` first
      raw          send the bytes of `hex`, or `size` random ones: instead of what goes out, or before any answer
   what goes out:
      omit         it is not sent
      duplicate    it is sent twice
      cut          `size` bytes of it are sent, then as drop
      split        in pieces of `size` bytes, each in a TLS record, or WebSocket frame, of its own
      join         it waits, and goes out in one piece with the next
      code         connack and suback: with this `code`
      reply        register-reply and poll-reply: `status`, `requestId` (null: none), `retryAfter` (text; null: none),
                   `topic`, `body` (text), `bodyHex`, `bodySize` (that many bytes of a valid object), `bodyCut` (the
                   first so many bytes of the body), `errorCode` and `message`, `registrationStatus` and `state`
                   (members put over registrationState; null: removed)
   accept only:
      certificate  the server shows `which`: expired | not-yet-valid | wrong-name | unknown-ca
      tls          the server speaks only `version`: 1.0 | 1.1 | 1.2 | 1.3, and with `trust` none (else: any) it asks
                   for a client certificate and takes none
      alert        the server answers the client's hello by the TLS alert `which`: handshake-failure |
                   bad-certificate | certificate-expired | unknown-ca | access-denied | protocol-version |
                   insufficient-security | internal-error | unrecognized-name
   WebSocket only; MQTT without it is not concerned:
      http         upgrade-reply: HTTP `status`, `headers` (put over the right ones; null: removed) and `body` (text)
      frame        first a frame of `kind` ping | pong | text | close | reserved with the bytes of `hex`, at most 125;
                   close ends the connection
      fragment     the message in frames of `size` bytes
client     only this registration or device id; not known before connect
service    only dps | hub; not known before connect
transport  only mqtt | websocket
nth        the first time it happens, counted from 1     times    how often from then on, 0: always; default 1
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from dpsd.emulator.wire.deeds import DEEDS, MOMENTS, SIZE_LIMIT, UPGRADE, Check, Deed, whole, word
from dpsd.shape import ShapeError, Table

_NARROWING: dict[str, Check] = {
    "client": Table.optional_string,
    "service": word(("dps", "hub")),
    "transport": word(("mqtt", "websocket")),
    "nth": whole(1, SIZE_LIMIT),
    "times": whole(0, SIZE_LIMIT),
}
_NULLABLE = ("requestId", "retryAfter")


class Moment(NamedTuple):
    """Something that happens to a connection; client and service are None until they are known."""

    name: str
    client: str | None = None
    service: str | None = None
    transport: str = "mqtt"


class Fault:
    """One row. seen: how often its moment has come."""

    def __init__(self, table: Table) -> None:
        deed = _deed(table)
        self.on, self.do = table.string("on"), table.string("do")
        self.details = table
        self.client = table.optional_string("client")
        self.service = table.optional_string("service")
        self.transport = "websocket" if deed.websocket else table.optional_string("transport")
        self.nth: int = table.values.get("nth", 1)
        self.times: int = table.values.get("times", 1)
        self.seen = 0

    def concerns(self, moment: Moment) -> bool:
        pairs = (
            (self.client, moment.client),
            (self.service, moment.service),
            (self.transport, moment.transport),
        )
        return self.on == moment.name and all(wanted in (None, found) for wanted, found in pairs)

    def is_due(self) -> bool:
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)


class Faults:
    """The rows in their order; the first that is due is taken."""

    def __init__(self, rows: Iterable[Fault] = ()) -> None:
        self.rows = list(rows)

    def take(self, moment: Moment) -> Fault | None:
        """Return what to do at this moment, or None; every row that it concerns has counted it."""
        concerned = [row for row in self.rows if row.concerns(moment)]
        for row in concerned:
            row.seen += 1
        return next((row for row in concerned if row.is_due()), None)


def parse_faults(rows: list[Any]) -> Faults:
    """Parse the list of a faults file; raises ShapeError."""
    return Faults(Fault(table) for table in Table({"faults": rows}).tables("faults"))


def _deed(table: Table) -> Deed:
    """Return what a row does, all of it checked; raises ShapeError."""
    for key, words in (("on", MOMENTS), ("do", DEEDS)):
        table.string(key)
        word(words)(table, key)
    on, deed = table.values["on"], DEEDS[table.values["do"]]
    if on not in deed.moments:
        raise ShapeError(f"{table.path}.do: {table.values['do']} is not for {on}")
    checks = {**_NARROWING, **deed.details}
    table.check_names(("on", "do", *checks))
    for key in (*deed.required, *table.values):
        if table.values.get(key) is None and key not in _NULLABLE:
            raise ShapeError(f"{table.path}.{key}: is missing")
    for key in table.values.keys() & checks.keys():
        checks[key](table, key)
    _check_narrowing(table, deed)
    return deed


def _check_narrowing(table: Table, deed: Deed) -> None:
    """Refuse what can never be: a row that waits for ever makes a test that shows nothing."""
    on = table.values["on"]
    for key in ("client", "service"):
        if on in ("accept", *UPGRADE) and key in table.values:
            raise ShapeError(f"{table.path}.{key}: is not known at {on}")
    if (deed.websocket or on in UPGRADE) and table.values.get("transport") == "mqtt":
        raise ShapeError(f"{table.path}.transport: this is for websocket")
