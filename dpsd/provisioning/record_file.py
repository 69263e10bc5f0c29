"""The assignment record on disk, and what agents were promised by it: read here, written in `publish`."""

from __future__ import annotations

import os

from dpsd.errors import Problem
from dpsd.shape import ShapeError
from dpsd.state.places import Runtime, State
from dpsd.state.record import NewerRecordError, Record, parse_record
from dpsd.system.files import keep_aside, load, set_aside
from dpsd.text import printable


def load_record(state: State) -> tuple[Record | None, Problem | None]:
    """Return the record, or None and what is wrong with the file, which is then kept beside its place."""
    text = load(state.record)
    if text is None and os.path.lexists(state.record):
        return None, _unreadable("it cannot be read", set_aside(state.record))
    if text is None:
        return None, None
    try:
        return parse_record(text), None
    except NewerRecordError as error:
        said = f"the assignment record: {error}; kept as {printable(keep_aside(state.record))}"
        return None, Problem("state-newer", said)
    except ShapeError as error:
        return None, _unreadable(str(error), set_aside(state.record))


def _unreadable(why: str, aside: str) -> Problem:
    said = f"the assignment record: {why}; kept as {printable(aside)}"
    return Problem("state-unreadable", said, hint="nothing to do: the device registers again")


def peek_record(state: State) -> Record | None:
    """Return the record if there is one to be read; touches nothing."""
    return _peek(state.record)


def peek_renewed(state: State) -> Record | None:
    """Return the record of a renewal that is not yet published, if there is one; touches nothing."""
    return _peek(state.renewed)


def _peek(path: str) -> Record | None:
    try:
        return parse_record(load(path) or b"")
    except ShapeError:
        return None


def is_released(record: Record, runtime: Runtime) -> bool:
    """Tell whether all that the record says agents find in memory is there, where only this boot can have put it."""
    return all(os.path.exists(path) for path in promised(record, runtime))


def promised(record: Record, runtime: Runtime) -> list[str]:
    """Return the files in memory that the record names to agents."""
    told = record.connection.authentication
    named = (told.certificate_file, told.private_key_file, told.connection_string_file)
    return [path for path in runtime.released if path in named]
