"""`dpsctl import`: for root with a bundle, and for the units that look for one."""

from __future__ import annotations

import os

from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, Problem
from dpsd.importing.adopt import REMOVED, TRIED, adopt, discard, resume, tell_daemon, waits
from dpsd.importing.found import adopt_found, adopt_stick
from dpsd.importing.reading import load_bundle
from dpsd.state.places import Places
from dpsd.system.command import UsageError
from dpsd.system.owner import is_owner


def run(arguments: Arguments) -> int:
    """Do what the arguments say; raises UsageError and Problem."""
    path, places = os.path.abspath(arguments.operands[0]), arguments.places
    if places.state.imported not in places.configuration:
        raise UsageError("a bundle is for the device itself: leave out --config and --state-dir")
    if not is_owner(places.state):
        raise Problem("not-permitted", "only root may import a bundle")
    changed = resume(places)
    if arguments.has("--stick"):
        changed |= adopt_stick(path, places)
    elif arguments.has("--unattended"):
        changed |= adopt_found(path, places)
    else:
        _adopt_asked(path, places)
        return EXIT_DONE
    if changed:
        tell_daemon(places.state)
    return EXIT_DONE


def _adopt_asked(path: str, places: Places) -> None:
    bundle = load_bundle(path)
    adopt(bundle, places)
    tell_daemon(places.state, start=True)
    left = discard(bundle, places.state)
    print(f"adopted, {TRIED}; see: dpsctl status" if waits(places) else "adopted", end="; ")
    print(f"the bundle is still there: {left}" if left else REMOVED)
