"""The life of a candidate: what waits to take the place of what the device has provisioned with.

It is a sealed credential, the settings that an import bundle has brought, or both. They lie beside the ones in force
(`place_for`, and `dpsd.importing.adopt`) and are tried by attempts of their own (see `dpsd.daemon.machine`). The record
of the attempt that succeeds is the commit point: from then on `promote` renames them, after a power cut too. Whoever
writes or renames any of these files holds the lock of `exchanging`.
"""

from __future__ import annotations

import os

from dpsd.configuration.observed import observe
from dpsd.keys.seal import SIZE_LIMIT, NewerSealError, parse_seal
from dpsd.provisioning.record_file import peek_record
from dpsd.shape import ShapeError
from dpsd.state.places import Places, State
from dpsd.state.record import Record
from dpsd.state.trial import Trial
from dpsd.system.files import HeldLock, keep_aside, load, lock, move, remove, set_aside


def exists(places: Places) -> bool:
    """Tell whether there is a candidate, of whatever store the present credential is."""
    return has_seal(places.state) or has_settings(places)


def has_seal(state: State) -> bool:
    """Tell whether a sealed credential waits."""
    return os.path.lexists(state.candidate)


def has_settings(places: Places) -> bool:
    """Tell whether settings wait: only where imported ones count."""
    return places.state.imported in places.configuration and os.path.lexists(places.state.candidate_settings)


def has_candidate(record: Record, places: Places) -> bool:
    """Tell whether there is anything to be tried in the place of what made the record.

    A credential is, alone, only where that was a sealed one.
    """
    return has_settings(places) or (places.state.sealed in record.inputs and has_seal(places.state))


def waiting_trial(places: Places) -> Trial:
    """Return the trial of all that waits; `PRESENT` where nothing does."""
    waiting = {places.state.imported: places.state.candidate_settings} if has_settings(places) else {}
    if has_seal(places.state):
        waiting[places.state.sealed] = places.state.candidate
    return Trial(waiting, described(places))


def described(places: Places) -> str:
    """Return what waits, in words, empty if nothing does."""
    if not has_settings(places):
        return "newly sealed credential" if has_seal(places.state) else ""
    return f"newly imported settings{' and credential' if has_seal(places.state) else ''}"


def exchanging(state: State) -> HeldLock:
    """Keep two sealings apart, and the daemon from taking a candidate that is being exchanged."""
    return lock(state.seal_lock, wait=True)


def place_for(fingerprint: str, places: Places, *, beside: bool = False) -> str:
    """Return where a new seal goes: beside one that has provisioned, unless it is the same credential.

    beside: also beside another one, since it belongs to settings that wait. For who holds the lock. Raises Problem
    `state-unwritable`.
    """
    record = peek_record(places.state)
    if record is not None:
        roll_forward(record, places)
    present = fingerprint_in(places.state.sealed)
    if present == fingerprint:
        return places.state.sealed
    if record is not None and (beside or present == record.binding.credential):
        _set_aside_unreadable(places.state.candidate)
        return places.state.candidate
    give_up_seal(places.state)
    _set_aside_unreadable(places.state.sealed)
    return places.state.sealed


def give_up_seal(state: State) -> None:
    """Leave no sealed credential waiting, for who holds the lock. Raises Problem `state-unwritable`."""
    _set_aside_unreadable(state.candidate)
    remove(state.candidate)


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
    """Let the candidate that made the record take the place of what was there before it.

    Done again at each start, after a power cut too, since the record tells. Raises Problem `state-unwritable`.
    """
    if not exists(places):
        return
    with exchanging(places.state):
        roll_forward(record, places)


def roll_forward(record: Record, places: Places) -> None:
    """Do what `promote` says, for who holds the lock.

    What waits is taken as a whole or not at all: one part of it may have been exchanged since the attempt read it.
    """
    seal, settings = fingerprint_in(places.state.candidate) == record.binding.credential, has_settings(places)
    if not seal and has_seal(places.state) and places.state.sealed in record.inputs:
        return
    if settings and observe(places.state.candidate_settings) != record.inputs.get(places.state.imported):
        return
    if seal:
        _set_aside_unreadable(places.state.sealed)
        move(places.state.candidate, places.state.sealed)
    if settings:
        move(places.state.candidate_settings, places.state.imported)


def drop(places: Places) -> str:
    """Remove a candidate that has not provisioned; return what it was, in words. Raises Problem `state-unwritable`."""
    with exchanging(places.state):
        record = peek_record(places.state)
        if record is not None:
            roll_forward(record, places)
        dropped = described(places)
        remove(places.state.candidate)
        if has_settings(places):
            remove(places.state.candidate_settings)
    return dropped


def fingerprint_in(path: str) -> str | None:
    """Return what a sealed file says of its credential, None where nothing can be read."""
    try:
        return parse_seal(load(path, SIZE_LIMIT) or b"").header.fingerprint
    except ShapeError:
        return None
