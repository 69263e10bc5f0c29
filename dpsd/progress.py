"""What an attempt tells while it runs, one JSON line each on its pipe, in both directions. Floor 1."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dpsd.errors import PROBLEMS, Problem, encode_problem
from dpsd.record import Record, encode_record, read_record
from dpsd.shape import ShapeError, Table, parse_object


class Step(NamedTuple):
    """What is being done now."""

    text: str


class Watch(NamedTuple):
    """The files that decide besides the configuration, and what they looked like before they were read."""

    signatures: dict[str, Any]


class Carry(NamedTuple):
    """What the next attempt should know if this one ends without an assignment. operation_id: to poll, not register."""

    operation_id: str | None = None


class Done(NamedTuple):
    """The result: a record to publish. registered: DPS was asked, rather than the earlier assignment kept."""

    record: Record
    registered: bool


class Failed(NamedTuple):
    problem: Problem


Event = Step | Watch | Carry | Done | Failed


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
        return Carry(table.table("carry").optional_string("operation_id"))
    if "record" in table.values:
        return Done(read_record(table.table("record")), table.values.get("registered") is True)
    return Failed(parse_problem(table.table("problem")))


def parse_problem(table: Table) -> Problem:
    """Parse what `encode_problem` returns; raises ShapeError."""
    code = table.string("code")
    if code not in PROBLEMS:
        raise ShapeError(f"problem.code: '{code}' is not known")
    return Problem(
        code,
        table.string("sentence"),
        hint=table.optional_string("hint"),
        retry_after=table.optional_integer("retry_after"),
        also=tuple(str(one) for one in table.list("also")),
    )


def _document(event: Event) -> dict[str, Any]:
    if isinstance(event, Step):
        return {"step": event.text}
    if isinstance(event, Watch):
        return {"watch": event.signatures}
    if isinstance(event, Carry):
        return {"carry": event._asdict()}
    if isinstance(event, Done):
        return {"record": encode_record(event.record), "registered": event.registered}
    return {"problem": encode_problem(event.problem)}
