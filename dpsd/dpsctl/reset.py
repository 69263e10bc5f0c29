"""`dpsctl reset`: the device forgets its assignment, for a return or a golden image.

What goes, and in which order, stands in `dpsd.state.files`. Until the record goes a boot after a power cut restores
everything, and from then on nothing says that the device is provisioned.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from dpsd.configuration.merge import parse_import
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.systemd import DOOR_DROP_IN, DROP_IN, STORE
from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, EXIT_NOT_REMOVED, Problem
from dpsd.importing.in_force import layers_with, settings_in
from dpsd.provisioning.candidate import has_settings
from dpsd.state.files import FILE, RESET, RESET_CREDENTIAL, ROWS, Row, located, names, paths_of
from dpsd.state.places import Places, State
from dpsd.system.command import UsageError
from dpsd.system.files import HeldLock, list_kept_aside, lock, remove
from dpsd.system.owner import as_owner, is_owner
from dpsd.text import printable

FLASH = "removed is not erased on flash: revoke the credential of a board that leaves your hands"


class Found(NamedTuple):
    """A file that is there. is_daemons: in a folder of the daemon's user, who can let that lead anywhere."""

    path: str
    is_daemons: bool


def run(arguments: Arguments) -> int:
    credential, is_meant = arguments.has("--credential"), arguments.has("--yes")
    if is_meant and arguments.has("--dry-run"):
        raise UsageError("give --yes or --dry-run, not both")
    planned = plan(arguments.places, credential=credential)
    if not is_meant:
        return _show(planned, is_enough=arguments.has("--dry-run"))
    for path in reset(arguments.places, credential=credential):
        print(f"removed {printable(path)}", flush=True)
        if path in (DROP_IN, DOOR_DROP_IN):
            subprocess.run(["systemctl", "daemon-reload"], check=False)
    print(f"done; {FLASH}")
    return EXIT_DONE


def _show(planned: list[str], *, is_enough: bool) -> int:
    for path in planned:
        print(f"would remove {printable(path)}")
    if is_enough:
        return EXIT_DONE
    print("dpsctl: nothing was removed; to remove it, add --yes", file=sys.stderr)
    return EXIT_NOT_REMOVED


def plan(places: Places, *, credential: bool) -> list[str]:
    """Return what `reset` would remove now; raises Problem `not-permitted`, and as `reset`."""
    if not is_owner(places.state):
        raise Problem("not-permitted", "only root may reset this device")
    return [path for path, _ in _find(places, credential=credential)]


def reset(places: Places, *, credential: bool) -> Iterator[str]:
    """Remove, and yield each path once its removal is on disk.

    Raises Problem `not-permitted`, `state-locked`, `state-unwritable`, and for the credential `configuration-*`.
    """
    with _alone(places.state):
        for path, is_daemons in _find(places, credential=credential):
            with _rights(is_daemons, places.state):
                remove(path)
            yield path


def _find(places: Places, *, credential: bool) -> list[Found]:
    """Return what is there, in the order in which it goes; raises Problem `configuration-*`."""
    settings = _credential_settings(places) if credential else []
    forgotten = (RESET, RESET_CREDENTIAL) if credential else (RESET,)
    rows = [row for row in ROWS if row.forgotten in forgotten]
    return [found for row in rows for path in _paths(row, settings, places) for found in _there(path, row, places)]


def _credential_settings(places: Places) -> list[CredentialSettings]:
    """Return [credential] as it is, and as it is with settings that wait, as far as they can be read."""
    imported = [places.state.imported, *([places.state.candidate_settings] if has_settings(places) else [])]
    return [parse_import(layers_with(places, settings_in(path, places))).credential for path in imported]


def _paths(row: Row, settings: list[CredentialSettings], places: Places) -> list[str]:
    """Return where a row's files can be. What systemd hands over is the device's, whatever its store is now."""
    if row.path.startswith(FILE):
        files = dict.fromkeys(file for one in settings for file in one.files())
        return paths_of(row, files if row.path == FILE else map(os.path.realpath, files))
    if row.path.startswith("/etc/") and not places.state.of_device and all(one.store != STORE for one in settings):
        return []
    return [located(row.path, places)]


def _there(path: str, row: Row, places: Places) -> list[Found]:
    is_daemons = path.startswith((f"{places.state}/", f"{places.runtime}/")) and not row.path.startswith(FILE)
    with _rights(is_daemons, places.state):
        beside = [one for name in names(path, row) for one in (list_kept_aside(path) if name.endswith("*") else [name])]
        return [Found(one, is_daemons) for one in beside if os.path.lexists(one)]


def _rights(is_daemons: bool, state: State) -> AbstractContextManager[None]:
    return as_owner(state) if is_daemons else nullcontext()


def _alone(state: State) -> HeldLock | AbstractContextManager[None]:
    """Keep the daemon from starting meanwhile; without a state directory there is nothing to keep it from."""
    with as_owner(state):
        if not os.path.isdir(state.private):
            return nullcontext()
        try:
            return lock(state.lock)
        except Problem as problem:
            if problem.code != "state-locked":
                raise
            raise problem.amend(hint="stop the daemon first: systemctl stop dpsd") from None
