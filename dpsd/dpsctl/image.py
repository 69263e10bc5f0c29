"""`dpsctl config --image`: what must not be in an image that many boards are made from.

Names are resolved inside of the image as its own kernel would, and nothing outside of it is read.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

from dpsd.configuration.files import writers_fault
from dpsd.configuration.merge import read_layers
from dpsd.configuration.observed import TEXT_LIMIT, drop_ins
from dpsd.configuration.settings import Layer, names_file, names_secret
from dpsd.errors import Problem, ProtocolError
from dpsd.importing.archives import SIZE_LIMIT, unpack
from dpsd.importing.reading import ARCHIVES
from dpsd.protocol.sas import parse_key
from dpsd.state.files import FILE, RESET, RESET_CREDENTIAL, ROWS, Row, names, paths_of, row_of
from dpsd.state.places import CONFIGURATION, IMPORT_DIRECTORY, KEYS_DIRECTORY, RUNTIME_DIRECTORY, STATE_DIRECTORY
from dpsd.system.files import load
from dpsd.system.machine_id import MACHINE_ID
from dpsd.text import printable

LINK_LIMIT = 40
OWN = (STATE_DIRECTORY, RUNTIME_DIRECTORY, KEYS_DIRECTORY, IMPORT_DIRECTORY)
"""Folders of dpsd alone."""
CREDSTORES = ("/etc/credstore", "/etc/credstore.encrypted")
"""Where systemd looks for credentials."""
FOLDERS = ("/etc/dpsd", "/boot/firmware/dpsd", "/boot/dpsd", *CREDSTORES)
"""Where credentials lie."""
UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
"""Where units and their drop-ins are."""
SERVICES = ("dpsd.service", "dpsd-identity.service")
"""Units to which systemd may hand the credential."""
DBUS_MACHINE_ID = "/var/lib/dbus/machine-id"
SYSTEMD_SECRET = "/var/lib/systemd/credential.secret"
_ID = re.compile(rb"[0-9A-Fa-f]{32}")
_SECRET = "holds a secret, which every board would have; remove it"
_OPENS = "opens what is sealed; remove it, each board makes its own"
_STRANGER = "is no file of dpsd, and may belong to one board; remove it"


def check_image(root: str) -> None:
    """Raise Problem `image-unsafe` with each thing that must not be in the image at `root`, and what to do."""
    found = list(dict.fromkeys(_findings(root)))
    if found:
        raise Problem("image-unsafe", found[0], also=tuple(found[1:]))


def resolve(root: str, path: str) -> str:
    """Return where `path` of the image is, following links inside of it; raises Problem `image-unsafe` for a loop."""
    place, ahead, links = "", path.split("/")[::-1], 0
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            place = os.path.dirname(place).rstrip("/")
            continue
        if os.path.islink(f"{root}{place}/{name}"):
            links += 1
            if links > LINK_LIMIT:
                raise Problem("image-unsafe", f"{printable(path)}: has too many links; remove them")
            target = os.readlink(f"{root}{place}/{name}")
            place = "" if target.startswith("/") else place
            ahead += target.split("/")[::-1]
        else:
            place = f"{place}/{name}"
    return f"{root}{place}" or "/"


def _findings(root: str) -> Iterator[str]:
    for folder in (*OWN, *CREDSTORES, *(f"{UNITS[0]}/{service}.d" for service in SERVICES)):
        for path in _files(root, folder):
            said = _said_of(path, is_own=folder in OWN)
            if said:
                yield f"{printable(path)}: {said}"
    if os.path.lexists(resolve(root, SYSTEMD_SECRET)):
        yield f"{SYSTEMD_SECRET}: {_OPENS}"
    yield from _machine_ids(root)
    for folder in FOLDERS:
        for path in _files(root, folder):
            yield from _credential(root, path)
    for folder in UNITS:
        for service in SERVICES:
            for path in (f"{folder}/{service}", *_files(root, f"{folder}/{service}.d")):
                yield from _unit(root, path)
    yield from _configuration(root)


def _machine_ids(root: str) -> Iterator[str]:
    """A first boot takes the id of D-Bus, unless that is a link, for an empty one of the system."""
    system, dbus = (resolve(root, path) for path in (MACHINE_ID, DBUS_MACHINE_ID))
    if _ID.match(load(system, TEXT_LIMIT) or b""):
        emptied = f"truncate --size=0 {printable(shlex.quote(system))}"
        yield f"{MACHINE_ID}: every board would have this id; empty it: {emptied}"
    if dbus != system and _ID.match(load(dbus, TEXT_LIMIT) or b""):
        removed = f"rm {printable(shlex.quote(dbus))}"
        yield f"{DBUS_MACHINE_ID}: every board would get this id at its first boot; remove it: {removed}"


def _said_of(path: str, *, is_own: bool) -> str:
    """Return why a file must not be in an image, empty if it may; is_own: it is in a folder of dpsd alone."""
    row = row_of(path)
    if path.startswith(f"{KEYS_DIRECTORY}/"):
        return _OPENS
    if row is None:
        return _STRANGER if is_own else ""
    if row.forgotten not in (RESET, RESET_CREDENTIAL):
        return ""
    return _SECRET if row.secret and not is_own else _of_one_board(row)


def _of_one_board(row: Row) -> str:
    return f"holds {row.holds}, and belongs to one board; remove it before the image is taken: {row.forgotten} --yes"


def _credential(root: str, path: str) -> Iterator[str]:
    data = load(resolve(root, path), SIZE_LIMIT) or b""
    in_store = path.startswith("/etc/credstore") and os.path.basename(path).startswith("dpsd.") and not row_of(path)
    if in_store or any(_is_secret(name, content) for name, content in _unpacked(path, data)):
        yield f"{printable(path)}: {_SECRET}"


def _unit(root: str, path: str) -> Iterator[str]:
    """Look for a credential in a unit's own text, and for one that it loads from elsewhere."""
    text = load(resolve(root, path), TEXT_LIMIT) or b""
    if re.search(rb"^\s*SetCredential(Encrypted)?\s*=\s*dpsd\.", text, re.MULTILINE):
        yield f"{printable(path)}: {_SECRET}"
    for named in re.findall(rb"^\s*LoadCredential(?:Encrypted)?\s*=\s*dpsd\.\w+_key:(/.+)", text, re.MULTILINE):
        loaded = os.fsdecode(named.strip())
        if os.path.lexists(resolve(root, loaded)):
            yield f"{printable(loaded)}: {_SECRET}"


def _unpacked(path: str, data: bytes) -> list[tuple[str, bytes]]:
    """Return names and contents of a file, or of those in it where it is an archive, as an import bundle can be."""
    if not path.lower().endswith(ARCHIVES):
        return [(path, data)]
    try:
        return [(entry.name, entry.content or b"") for entry in unpack(data)]
    except ValueError:
        return []


def _is_secret(name: str, text: bytes) -> bool:
    return b"PRIVATE KEY" in text or name.lower().endswith((".p12", ".pfx")) or _is_key(text)


def _is_key(text: bytes) -> bool:
    try:
        parse_key(text)
    except ProtocolError:
        return False
    return True


def _configuration(root: str) -> Iterator[str]:
    layers: list[Layer] = []
    for path in _configuration_files(root):
        yield from _writers(root, path)
        layers.append(Layer(path, (load(resolve(root, path), TEXT_LIMIT) or b"").decode("utf-8", "replace")))
    values, faults = read_layers(layers)
    yield from faults
    for key, (path, _) in values.items():
        table, _, name = key.partition(".")
        if table == "credential" and names_file(name) and path is not None:
            yield from _configured(root, path, is_secret=names_secret(name))


def _configured(root: str, path: str, *, is_secret: bool) -> Iterator[str]:
    """Look for a file of the credential, and for what `dpsctl renew` may have left beside it."""
    target = resolve(root, path)[len(root) :]
    for row in (row for row in ROWS if row.path.startswith(FILE)):
        (place,) = paths_of(row, [path if row.path == FILE else target])
        for name in names(place, row):
            if os.path.lexists(resolve(root, name)):
                yield f"{printable(name)}: {_SECRET if is_secret else _of_one_board(row)}"


def _configuration_files(root: str) -> Iterator[str]:
    for place in CONFIGURATION:
        if place.endswith("/"):
            yield from (place + name for name in drop_ins(resolve(root, place)))
        elif os.path.lexists(resolve(root, place)):
            yield place


def _writers(root: str, path: str) -> Iterator[str]:
    """Say of a configuration file and the folders above it whether others than root could change them."""
    while path != "/":
        here = resolve(root, path)
        fault = writers_fault(os.stat(here, follow_symlinks=False), frozenset({0, os.geteuid()}))
        if fault is not None:
            yield f"{printable(path)}: {fault.said}; mend it: {fault.mend} {printable(shlex.quote(here))}"
        path = os.path.dirname(path)


def _files(root: str, folder: str) -> list[str]:
    """Return the names, as the image has them, of all files below a folder of it; raises Problem `not-permitted`."""
    top = resolve(root, folder)
    return sorted(
        folder.rstrip("/") + os.path.join(place, name)[len(top) :]
        for place, _, names in os.walk(top, onerror=_refuse)
        for name in names
    )


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise Problem("not-permitted", f"cannot look into {printable(error.filename)}: {error.strerror}")
