"""`dpsctl reset`: the device forgets its assignment, for a return or a golden image.

The record goes after all that was made from it: until then a boot after a power cut restores everything, and from then
on nothing says that the device is provisioned. The credential goes last: a record without it would still be used.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from dpsd.configuration.merge import parse_import
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.systemd import DROP_IN, sources
from dpsd.dpsctl.arguments import Arguments, UsageError
from dpsd.errors import EXIT_DONE, Problem
from dpsd.importing.in_force import layers_with, settings_in
from dpsd.keys.sources import list_secret_files
from dpsd.provisioning.candidate import has_settings
from dpsd.state.places import Places
from dpsd.system.files import list_kept_aside, lock, remove, temporary_path, unusable_path
from dpsd.system.owner import as_owner, is_owner
from dpsd.text import printable


def run(arguments: Arguments) -> int:
    credential = arguments.has("--credential")
    planned = plan(arguments.places, credential=credential)
    if not arguments.has("--yes"):
        print("\n".join(f"would remove {printable(path)}" for path in planned))
        raise UsageError("nothing was removed; to remove it, add --yes")
    for path in reset(arguments.places, credential=credential):
        print(f"removed {printable(path)}", flush=True)
        if path == DROP_IN:
            subprocess.run(["systemctl", "daemon-reload"], check=False)
    print(f"done; {FLASH}")
    return EXIT_DONE


FLASH = "removed is not erased on flash: revoke the credential of a board that leaves your hands"


def reset(places: Places, *, credential: bool) -> Iterator[str]:
    """Remove, and yield each path once its removal is on disk.

    Raises Problem `not-permitted`, `state-locked`, `state-unwritable`, and for the credential `configuration-*`.
    """
    files = credential_files(places) if credential else []
    with as_owner(places), _alone(places):
        yield from wipe([*state_files(places), *(seals(places) if credential else [])])
    yield from wipe(files)


def plan(places: Places, *, credential: bool) -> list[str]:
    """Return what `reset` would remove now; raises as that."""
    if not is_owner(places):
        raise Problem("not-permitted", "only root may reset this device")
    files = [*state_files(places), *([*seals(places), *credential_files(places)] if credential else [])]
    return [path for path in files if os.path.lexists(path)]


def wipe(paths: Iterable[str]) -> Iterator[str]:
    """Remove what is there of these, in this order, and yield each one that is gone for good."""
    for path in paths:
        if os.path.lexists(path):
            remove(path)
            yield path


def state_files(places: Places) -> list[str]:
    """Return all that dpsd writes, in the order in which it goes."""
    published = [places.connection_env, places.connection_json, places.payload_json, places.history]
    committed = [*published, places.renewed, places.record]
    born = [*map(temporary_path, committed), temporary_path(places.payload_json, places.agents_staging)]
    aside = [unusable_path(places.record), *list_kept_aside(places.record)]
    released = [*map(temporary_path, places.released), *places.released]
    return [places.provisioned, places.status, *released, *born, *aside, *committed]


def credential_files(places: Places) -> list[str]:
    """Return what root or the device's owner has of the credential; raises Problem `configuration-*`."""
    return [*_configured_files(places), *key_files(places), *imports(places)]


def _configured_files(places: Places) -> list[str]:
    """Return what the configuration names, and what settings that wait do, as far as they can be read."""
    imported = [places.imported, *([places.candidate_settings] if has_settings(places) else [])]
    found = [parse_import(layers_with(places, settings_in(path, places))) for path in imported]
    return [path for prepared in found for path in _files_of(prepared.credential)]


def _files_of(settings: CredentialSettings) -> list[str]:
    public = settings.certificate_file
    there = [*settings.secret_files(), *([] if public is None else [public])]
    staged = [f"{os.path.realpath(path)}.new" for path in there]
    return [*there, *staged, *sources(settings)]


def imports(places: Places) -> list[str]:
    """Return what an adopted bundle left: with its credential go its settings, so that the next one can be adopted."""
    written = [places.adopting, places.adopted, places.candidate_settings, places.imported]
    return [*map(temporary_path, written), *written]


def seals(places: Places) -> list[str]:
    """Return what sealing writes for the daemon, whose user can let their folder lead anywhere: not for root."""
    written = [places.candidate, places.sealed]
    aside = [path for seal in written for path in (unusable_path(seal), *list_kept_aside(seal))]
    return [*map(temporary_path, written), *aside, *written]


def key_files(places: Places) -> list[str]:
    """Return what seals are made with."""
    written = list_secret_files(places.keys)
    return [*map(temporary_path, written), *written]


def _alone(places: Places) -> AbstractContextManager[object]:
    """Keep the daemon from starting meanwhile; without a state directory there is nothing to keep it from."""
    if not os.path.isdir(places.private):
        return nullcontext()
    try:
        return lock(places.lock)
    except Problem as problem:
        if problem.code != "state-locked":
            raise
        raise problem.amend(hint="stop the daemon first: systemctl stop dpsd") from None
