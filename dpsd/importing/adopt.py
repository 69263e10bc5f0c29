"""Adopting an import bundle: everything is checked first, and then all of it takes effect or nothing.

What is to be done is written down before the credential is sealed. That note decides after a power cut: if the new
credential is there, the rest is done at the next start, and if it is not, nothing has happened. Once the settings are
on disk, the note becomes the memory of which bundle it was.

On a device that has an assignment, settings and credential are a candidate, see `dpsd.provisioning.candidate`: what is
in force stays until they have provisioned.
"""

from __future__ import annotations

import json
import os
import subprocess

from dpsd.errors import Problem
from dpsd.importing.bundle import Bundle
from dpsd.importing.in_force import settings_in
from dpsd.importing.plan import Note, checksums, make_plan
from dpsd.provisioning.candidate import exchanging, exists, fingerprint_in, give_up_seal, promote, roll_forward
from dpsd.provisioning.publish import prepare_folders
from dpsd.provisioning.record_file import peek_record
from dpsd.sealing.seal import Sealed, seal
from dpsd.shape import ShapeError, parse_object
from dpsd.state.places import Places, State
from dpsd.state.record import Record
from dpsd.system.files import HeldLock, commit, load, lock, make_folder, move, remove
from dpsd.system.journal import NOTICE, log
from dpsd.system.mounts import find_volatile_kind
from dpsd.system.owner import as_owner, is_owner

TRIED = "to be tried by a registration before it replaces what the device has"
REMOVED = "the bundle was removed, but flash keeps what was removed for a while: who holds the medium may find the key"


def adopt(bundle: Bundle, places: Places) -> None:
    """Check all of the bundle, seal its credential and write down its settings; the daemon is not told.

    Raises Problem `bundle-*`, `configuration-*`, `credential-*`, `certificate-*`, `registration-id-*` and those of
    `seal`; nothing has changed then.
    """
    with _alone(places):
        with as_owner(places.state):
            record = peek_record(places.state)
            if record is not None:
                promote(record, places)
        plan = make_plan(bundle, places)
        commit(places.imports.adopting, _render(plan.note), 0o600)
        try:
            if plan.material is not None:
                _tell(seal(places, plan.material, beside=record is not None))
        except Problem:
            remove(places.imports.adopting)
            raise
        _finish(plan.note, places)


def resume(places: Places) -> bool:
    """Bring an adoption that was cut off to its end, or undo it; tell whether it took effect now."""
    if not os.path.lexists(places.imports.adopting):
        return False
    with _alone(places):
        note = _load(places.imports.adopting)
        with as_owner(places.state):
            sealed = {fingerprint_in(path) for path in (places.state.sealed, places.state.candidate)}
        if note is None or (note.credential and note.credential not in sealed):
            remove(places.imports.adopting)
            return False
        _finish(note, places)
        return True


def was_adopted(bundle: Bundle, places: Places) -> bool:
    """Tell whether this, or what is left of it, was adopted last, and its settings are there, to be read."""
    note = _load(places.imports.adopted)
    if note is None or not checksums(bundle).items() <= note.bundle.items():
        return False
    there = [path for path in (places.state.imported, places.state.candidate_settings) if os.path.lexists(path)]
    return any(settings_in(path, places) is not None for path in there)


def waits(places: Places) -> bool:
    """Tell whether what was adopted is still to be tried, in the place of what is in force until then."""
    with as_owner(places.state):
        return exists(places)


def discard(bundle: Bundle, state: State) -> str:
    """Remove the files of an adopted bundle; return why they are still there, empty if they are not."""
    if find_volatile_kind(state) is not None:
        return "the device forgets it at a reboot, and will need it again"
    try:
        for path in bundle.sources:
            remove(path)
    except Problem as problem:
        return problem.sentence
    return ""


def tell_daemon(state: State, *, start: bool = False) -> None:
    """Let systemd reload the daemon, or start it where it waits for its configuration.

    There may be none, and that of the device has one state only. start: also where somebody has stopped it.
    """
    if state.of_device and os.path.isdir("/run/systemd/system"):
        units = ["dpsd-configured.service", *(["dpsd.service"] if start else [])]
        subprocess.run(["systemctl", "--no-block", "start", *units], check=False)


def _tell(sealed: Sealed) -> None:
    """Say by what the credential is sealed now, and why by nothing stronger: nobody was asked."""
    for source, problem in sealed.passed.items():
        log(NOTICE, f"not sealed by {source}: {problem.sentence}")
    log(NOTICE, f"sealed the credential by {sealed.header.source}")


def _finish(note: Note, places: Places) -> None:
    """Put the settings where they belong: beside those in force that differ, where these have provisioned."""
    settings = note.settings.encode()
    with as_owner(places.state):
        held = exchanging(places.state)
    with held:
        with as_owner(places.state):
            record, in_force = _settle(note, places), load(places.state.imported)
        if record is not None and settings != in_force:
            commit(places.state.candidate_settings, settings, 0o644)
        else:
            commit(places.state.imported, settings, 0o644)
            remove(places.state.candidate_settings)
    move(places.imports.adopting, places.imports.adopted)


def _settle(note: Note, places: Places) -> Record | None:
    """Leave no other credential waiting than the note's, if that has one; return the record that is in force."""
    record = peek_record(places.state)
    if record is not None:
        roll_forward(record, places)
    if note.credential and fingerprint_in(places.state.sealed) == note.credential:
        give_up_seal(places.state)
    return record


def _render(note: Note) -> bytes:
    return json.dumps(note._asdict()).encode() + b"\n"


def _load(path: str) -> Note | None:
    try:
        table = parse_object(load(path) or b"", "note")
        return Note(dict(table.table("bundle").values), table.string("credential"), table.string("settings"))
    except ShapeError:
        return None


def prepare(places: Places) -> None:
    """Make the folders that an adoption needs; raises Problem `state-unwritable`."""
    with as_owner(places.state):
        prepare_folders(places.state, places.runtime)
    make_folder(places.imports, 0o700)


def _alone(places: Places) -> HeldLock:
    """Keep two adoptions apart; raises Problem `not-permitted`."""
    if not is_owner(places.state):
        raise Problem("not-permitted", "only root may adopt a bundle")
    prepare(places)
    return lock(places.imports.lock, wait=True)
