"""The life of a candidate: a sealed credential that waits to take the place of the present one. Floor 3.

It is sealed beside one that has provisioned (`place_for`), tried by attempts of its own (see `dpsd.turns`), and the
record of the attempt that succeeds is the commit point: from then on `promote` renames it, after a power cut too. Who
writes or renames either file holds the lock of `exchanging`.
"""

from __future__ import annotations

import os

from dpsd.durable import Held, keep_aside, load, lock, move, remove, set_aside
from dpsd.places import Places
from dpsd.record import Record
from dpsd.recorded import peek_record
from dpsd.seal import SIZE_LIMIT, NewerSealError, parse_seal
from dpsd.shape import ShapeError


def exists(places: Places) -> bool:
    """Tell whether there is a candidate, of whatever store the present credential is."""
    return os.path.lexists(places.candidate)


def has_candidate(record: Record, places: Places) -> bool:
    """Tell whether there is a credential to be tried in the place of the sealed one that made the record."""
    return places.sealed in record.inputs and exists(places)


def exchanging(places: Places) -> Held:
    """Keep two sealings apart, and the daemon from taking a candidate that is being exchanged."""
    return lock(places.seal_lock, wait=True)


def place_for(fingerprint: str, places: Places) -> str:
    """Return where a new seal goes: beside one that has provisioned, unless it is the same credential.

    For who holds the lock. Raises Problem `state-unwritable`.
    """
    record = peek_record(places)
    if record is not None:
        roll_forward(record, places)
    present = fingerprint_in(places.sealed)
    if present == fingerprint:
        return places.sealed
    if record is not None and present == record.binding.credential:
        _set_aside_unreadable(places.candidate)
        return places.candidate
    _set_aside_unreadable(places.candidate)
    remove(places.candidate)
    _set_aside_unreadable(places.sealed)
    return places.sealed


def _set_aside_unreadable(path: str) -> None:
    """Let a seal be replaced that this program cannot read; one of a newer program is never destroyed."""
    try:
        parse_seal(load(path, SIZE_LIMIT) or b"")
    except NewerSealError:
        keep_aside(path)
    except ShapeError:
        if os.path.lexists(path):
            set_aside(path)


def promote(record: Record, places: Places) -> None:
    """Let the candidate that made the record take the place of the sealed credential before it.

    Done again at each start, after a power cut too, since the record tells. Raises Problem `state-unwritable`.
    """
    if not exists(places):
        return
    with exchanging(places):
        roll_forward(record, places)


def roll_forward(record: Record, places: Places) -> None:
    """Do what `promote` says, for who holds the lock."""
    if fingerprint_in(places.candidate) == record.binding.credential:
        move(places.candidate, places.sealed)


def drop(places: Places) -> bool:
    """Remove a candidate that has not provisioned; tell whether there was one. Raises Problem `state-unwritable`."""
    with exchanging(places):
        record = peek_record(places)
        if record is not None:
            roll_forward(record, places)
        there = exists(places)
        remove(places.candidate)
    return there


def fingerprint_in(path: str) -> str | None:
    """Return what a sealed file says of its credential, None where nothing can be read."""
    try:
        return parse_seal(load(path, SIZE_LIMIT) or b"").header.fingerprint
    except ShapeError:
        return None
