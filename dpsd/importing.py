"""Adopting an import bundle: everything is checked first, and then all of it takes effect or nothing. Floor 3.

What is to be done is written down before the credential is sealed. That note decides after a power cut: if the new
credential is there, the rest is done at the next start, and if it is not, nothing has happened. Once the settings are
on disk, the note becomes the memory of which bundle it was.
"""

from __future__ import annotations

import json
import os
import subprocess

from dpsd.bundle import Bundle
from dpsd.candidate import fingerprint_in
from dpsd.durable import Held, commit, load, lock, make_folder, move, remove
from dpsd.errors import Problem
from dpsd.import_plan import Note, checksums, make_plan
from dpsd.imported import settings_in
from dpsd.journal import NOTICE, log
from dpsd.mounts import volatile_kind
from dpsd.ownership import as_owner, is_owner
from dpsd.places import Places
from dpsd.publish import prepare_folders
from dpsd.sealing import Sealed, seal
from dpsd.shape import ShapeError, parse_object

REMOVED = "the bundle was removed, but flash keeps what was removed for a while: who holds the medium may find the key"


def adopt(bundle: Bundle, places: Places) -> None:
    """Check all of the bundle, seal its credential and write down its settings; the daemon is not told.

    Raises Problem `bundle-*`, `configuration-*`, `credential-*`, `certificate-*`, `registration-id-*` and those of
    `seal`; nothing has changed then.
    """
    with _alone(places):
        plan = make_plan(bundle, places)
        commit(places.adopting, _render(plan.note), 0o600)
        try:
            if plan.material is not None:
                _tell(seal(places, plan.material))
        except Problem:
            remove(places.adopting)
            raise
        _finish(plan.note, places)


def resume(places: Places) -> bool:
    """Bring an adoption that was cut off to its end, or undo it; tell whether it took effect now."""
    if not os.path.lexists(places.adopting):
        return False
    with _alone(places):
        note = _load(places.adopting)
        with as_owner(places):
            sealed = {fingerprint_in(path) for path in (places.sealed, places.candidate)}
        if note is None or (note.credential and note.credential not in sealed):
            remove(places.adopting)
            return False
        _finish(note, places)
        return True


def was_adopted(bundle: Bundle, places: Places) -> bool:
    """Tell whether this, or what is left of it, was adopted last, and its settings are there, to be read."""
    note = _load(places.adopted)
    if note is None or not checksums(bundle).items() <= note.bundle.items() or not os.path.lexists(places.imported):
        return False
    return settings_in(places.imported, places) is not None


def discard(bundle: Bundle, places: Places) -> str:
    """Remove the files of an adopted bundle; return why they are still there, empty if they are not."""
    if volatile_kind(places.state) is not None:
        return "the device forgets it at a reboot, and will need it again"
    try:
        for path in bundle.sources:
            remove(path)
    except Problem as problem:
        return problem.sentence
    return ""


def tell_daemon(places: Places, *, start: bool = False) -> None:
    """Let systemd reload the daemon, or start it where it waits for its configuration.

    There may be none, and that of the device has one state only. start: also where somebody has stopped it.
    """
    if places.of_device and os.path.isdir("/run/systemd/system"):
        units = ["dpsd-configured.service", *(["dpsd.service"] if start else [])]
        subprocess.run(["systemctl", "--no-block", "start", *units], check=False)


def _tell(sealed: Sealed) -> None:
    """Say by what the credential is sealed now, and why by nothing stronger: nobody was asked."""
    for source, problem in sealed.passed.items():
        log(NOTICE, f"not sealed by {source}: {problem.sentence}")
    log(NOTICE, f"sealed the credential by {sealed.header.source}")


def _finish(note: Note, places: Places) -> None:
    commit(places.imported, note.settings.encode(), 0o644)
    move(places.adopting, places.adopted)


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
    with as_owner(places):
        prepare_folders(places)
    make_folder(places.imports, 0o700)


def _alone(places: Places) -> Held:
    """Keep two adoptions apart; raises Problem `not-permitted`."""
    if not is_owner(places):
        raise Problem("not-permitted", "only root may adopt a bundle")
    prepare(places)
    return lock(places.import_lock, wait=True)
