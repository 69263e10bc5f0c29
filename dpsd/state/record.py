"""The assignment record: what the daemon knows of its assignment, and what that is bound to.

It is the one file that decides; the published files are rendered from it. `binding` names what made the assignment: a
difference in any of it registers anew. `inputs` tells what the configuration and credential files looked like: while
they look the same, nothing needs to be parsed to know that the binding is the same.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dpsd.shape import ShapeError, Table, parse_object, read_fields
from dpsd.state.connection import Connection, encode_connection
from dpsd.text import printable

VERSION = 1
LAST_MOMENT = 253402300799
"""The end of the year 9999 in seconds since 1970: RFC 5280 uses it for a certificate without an end."""


class Binding(NamedTuple):
    """What made an assignment. credential: a public fingerprint. board: its serial number, empty where it has none."""

    id_scope: str
    registration_id: str
    endpoint: str
    credential: str
    board: str = ""


def same_board(one: str, other: str) -> bool:
    """Tell whether two serial numbers may be of one board; a board that has none may be any."""
    return not one or not other or one == other


class NewerRecordError(ShapeError):
    """Written by a later version of the program."""


class Details(NamedTuple):
    """What else tells boards and cards apart, each empty where there is none. Never decides, only compared and told.

    rpi_machine_id: is told nobody, since some derive a disk's key from it. card: the CID of the SD card or eMMC.
    """

    model: str = ""
    rpi_machine_id: str = ""
    card: str = ""


def differences(before: Details, now: Details) -> list[str]:
    """Return a sentence for each detail that was known before and is another one now, or that is given only now."""
    found = []
    if now.model and before.model != now.model:
        found.append(f"the board's model is {now.model}" + (f", it was {before.model}" if before.model else ""))
    if now.rpi_machine_id and before.rpi_machine_id != now.rpi_machine_id:
        found.append(f"the firmware gives {'another' if before.rpi_machine_id else 'an'} rpi-machine-id")
    if now.card and before.card != now.card:
        found.append(f"the card is {now.card}" + (f", it was {before.card}" if before.card else ""))
    return found


def updated(before: Details, now: Details) -> Details:
    """Return what is known now, and of what is not given any more what was known before."""
    return Details(*(new or old for old, new in zip(before, now, strict=True)))


class Validity(NamedTuple):
    """When a certificate begins and ends, in seconds since 1970."""

    not_before: float
    not_after: float


class Record(NamedTuple):
    """inputs: by path, as `dpsd.configuration.observed` observes them. payload: any JSON value that a custom
    allocation sent back. secondary: of two symmetric keys, DPS took the secondary one. store: of [credential] what
    opens it, where agents are given some of it. validity: of the certificate, None with keys, and in records of
    versions that did not write it. details: of the board and the card.
    """

    binding: Binding
    inputs: dict[str, Any]
    connection: Connection
    payload: Any
    environment: bool = False
    secondary: bool = False
    store: dict[str, Any] | None = None
    validity: Validity | None = None
    details: Details = Details()


def encode_record(record: Record) -> dict[str, Any]:
    return {
        "version": VERSION,
        "binding": record.binding._asdict(),
        "inputs": record.inputs,
        "connection": encode_connection(record.connection),
        "payload": record.payload,
        "environment": record.environment,
        "secondary": record.secondary,
        "store": record.store,
        "validity": None if record.validity is None else record.validity._asdict(),
        "details": record.details._asdict(),
    }


def render_record(record: Record) -> bytes:
    """Return the bytes of the record's file: JSON on one line."""
    return json.dumps(encode_record(record), separators=(",", ":")).encode() + b"\n"


def parse_record(text: str | bytes) -> Record:
    """Parse a record's file; raises ShapeError, and its kind NewerRecordError."""
    return read_record(parse_object(text, "record"))


def read_record(table: Table) -> Record:
    """Read a record out of parsed JSON; raises ShapeError."""
    version = table.integer("version")
    if version != VERSION:
        kind = NewerRecordError if version > VERSION else ShapeError
        raise kind(f"record.version: {printable(version, 20)} is not known here")
    record = read_fields(Record, table)
    if record.validity is not None and max(map(abs, record.validity)) > LAST_MOMENT:
        raise ShapeError(f"{table.path}.validity: expected moments before the year 10000")
    return record
