"""A bundle that is found where nobody has asked for it, and nobody looks at a console."""

from __future__ import annotations

import os
import re

from dpsd.configuration.settings import SETTINGS
from dpsd.errors import Problem
from dpsd.importing.adopt import TRIED, adopt, discard, prepare, waits, was_adopted
from dpsd.importing.bundle import REPORT, Bundle
from dpsd.importing.plan import FAULTS, FLEET_KEY, preparation
from dpsd.importing.reading import load_bundle
from dpsd.importing.stick import KIND, mounted
from dpsd.state.places import Places
from dpsd.system.files import commit, load, make_folder
from dpsd.system.journal import NOTICE, WARNING, log
from dpsd.text import printable

ADOPTED = "adopted\n"
ON_A_STICK = "dpsd"


def adopt_found(folder: str, places: Places) -> bool:
    """Adopt the bundle in a folder if this device lets it; tell whether anything changed.

    Beside it stays a file that says how it went: a code, its hint and the settings that it names, no value of one and
    nothing that came from outside.
    Raises the Problems of `adopt`, and `bundle-ignored`. A folder without a bundle is no problem.
    """
    try:
        bundle = load_bundle(folder)
        changed = consider(bundle, places)
    except Problem as problem:
        if problem.code == "bundle-missing":
            return False
        _report(folder, _words(problem))
        raise
    left = discard(bundle, places.state)
    if left:
        log(WARNING, f"{printable(folder)} still holds the bundle, with its keys if it has any: {left}")
    _report(folder, f"adopted, {TRIED}\n" if waits(places) else ADOPTED)
    return changed


def adopt_stick(device: str, places: Places, kind: str = KIND) -> bool:
    """Adopt the bundle in the folder `dpsd` of a USB stick if this device lets it; tell whether anything changed.

    The stick is read-only, and as it was afterwards. kind: of its file system. Raises as `adopt_found`.
    """
    shown, folder = printable(device), f"{places.imports}/stick"
    if not preparation(places).rights.usb:
        log(NOTICE, f"the stick {shown} is left alone: import.usb is not true")
        return False
    prepare(places)
    make_folder(folder, 0o700)
    with mounted(device, folder, kind):
        bundle = load_bundle(f"{folder}/{ON_A_STICK}")
    return consider(bundle, places)


def consider(bundle: Bundle, places: Places) -> bool:
    """Adopt a bundle that nobody asked for, unless it was adopted before; tell whether it was now."""
    if was_adopted(bundle, places):
        return False
    prepared = preparation(places)
    for is_so, what in ((prepared.configured, "configured"), (os.path.lexists(places.state.record), "provisioned")):
        if is_so and not prepared.rights.replace:
            raise Problem("bundle-ignored", f"{printable(bundle.place)} is left alone: the device is {what} already")
    adopt(bundle, places)
    log(NOTICE, f"adopted the bundle in {printable(bundle.place)}{f', {TRIED}' if waits(places) else ''}")
    return True


def _words(problem: Problem) -> str:
    """Return what may be told on a medium that anybody reads: words of ours, whatever the sentences say."""
    said = " ".join((problem.sentence, *problem.also))
    named = [key for key in SETTINGS if re.search(rf"(?<![\w.-]){re.escape(key)}(?![\w-]|\.\w)", said)]
    hint = problem.hint if problem.hint in (FAULTS, FLEET_KEY) else problem.kind.hint
    return f"{problem.code}: {hint}\n" + (f"settings: {', '.join(named)}\n" if named else "")


def _report(folder: str, text: str) -> None:
    """Write the report if it says something new, and if it can be written there: never through a link."""
    path, data = f"{folder}/{REPORT}", text.encode()
    if os.path.islink(folder):
        log(WARNING, f"no report beside the bundle: {printable(folder)} is a link")
        return
    try:
        if load(path) != data:
            commit(path, data, 0o644)
    except Problem as problem:
        log(WARNING, f"no report beside the bundle: {problem.sentence}")
