"""What the supervisor orders of an attempt, and what that tells while it runs, a JSON line each."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dpsd.errors import PROBLEMS, Problem, encode_problem
from dpsd.shape import ShapeError, Table, parse_object, read_fields
from dpsd.state.record import Record, encode_record, read_record
from dpsd.state.trial import PRESENT, Trial
from dpsd.text import printable

SENTENCE_LIMIT = 1000
"""Characters of a sentence or hint; the longest of ours has some hundred."""


class Step(NamedTuple):
    """What is being done now."""

    text: str


class Watch(NamedTuple):
    """The files that decide besides the configuration, and what they looked like before they were read."""

    signatures: dict[str, Any]


class Carry(NamedTuple):
    """What the next attempt should know if this one ends too early.

    operation_id: of DPS, to be polled instead of registering anew. check_hub: the recorded assignment is still to be
    tried at its hub. refused_since: when the hub first refused it, in seconds of the boot clock. transport: the one
    that worked, to be tried first where the configuration leaves it open.
    """

    operation_id: str | None = None
    check_hub: bool = False
    refused_since: float | None = None
    transport: str | None = None


class Orders(NamedTuple):
    """What an attempt is to do.

    force: register even if nothing changed. first: it is the daemon's first attempt. started: when the daemon started,
    in seconds of the boot clock; None in the foreground, where a person waits. trial: the files that it is made with.
    """

    force: bool = False
    first: bool = False
    started: float | None = None
    carry: Carry = Carry()
    trial: Trial = PRESENT


class Renewed(NamedTuple):
    """All that the earlier assignment was made of is the same, but for a new credential in the place of the old."""


class Registered(NamedTuple):
    """DPS assigned a hub, to be written down now; the attempt goes on."""

    record: Record


class Done(NamedTuple):
    """The result: a record to publish. registered: DPS was asked, rather than the earlier assignment kept."""

    record: Record
    registered: bool


class Failed(NamedTuple):
    """The result of an attempt that made no record."""

    problem: Problem


Event = Step | Watch | Carry | Renewed | Registered | Done | Failed


def encode_event(event: Event) -> bytes:
    """Return the event's line."""
    return json.dumps(_document(event), separators=(",", ":")).encode() + b"\n"


def parse_event(line: bytes) -> Event:
    """Parse a line; raises ShapeError."""
    table = parse_object(line, "event")
    if "step" in table.values:
        return Step(table.string("step"))
    if "watch" in table.values:
        return Watch(dict(table.table("watch").values))
    if "carry" in table.values:
        return read_fields(Carry, table.table("carry"))
    if "renewed" in table.values:
        return Renewed()
    if "assigned" in table.values:
        return Registered(read_record(table.table("assigned")))
    if "record" in table.values:
        return Done(read_record(table.table("record")), table.values.get("registered") is True)
    return Failed(parse_problem(table.table("problem")))


def encode_orders(orders: Orders) -> str:
    """Return the orders as JSON on one line, for the command line of an attempt."""
    parts = {"carry": orders.carry._asdict(), "trial": orders.trial._asdict()}
    return json.dumps({**orders._asdict(), **parts}, separators=(",", ":"))


def parse_orders(text: str) -> Orders:
    """Parse what `encode_orders` returns; raises ShapeError."""
    return read_fields(Orders, parse_object(text, "orders"))


def parse_problem(table: Table) -> Problem:
    """Parse what `encode_problem` returns; raises ShapeError."""
    code = table.string("code")
    if code not in PROBLEMS:
        raise ShapeError(f"problem.code: '{printable(code)}' is not known")
    return Problem(
        code,
        printable(table.string("sentence"), SENTENCE_LIMIT),
        hint=printable(table.optional_string("hint") or PROBLEMS[code].hint, SENTENCE_LIMIT),
        retry_after=table.optional_number("retry_after"),
        also=tuple(printable(one, SENTENCE_LIMIT) for one in table.list("also")),
        window=table.optional_number("window") or 0,
    )


def _document(event: Event) -> dict[str, Any]:
    if isinstance(event, Step):
        return {"step": event.text}
    if isinstance(event, Watch):
        return {"watch": event.signatures}
    if isinstance(event, Carry):
        return {"carry": event._asdict()}
    if isinstance(event, Renewed):
        return {"renewed": True}
    if isinstance(event, Registered):
        return {"assigned": encode_record(event.record)}
    if isinstance(event, Done):
        return {"record": encode_record(event.record), "registered": event.registered}
    return {"problem": encode_problem(event.problem)}
