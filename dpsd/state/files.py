"""Every file and folder that dpsd writes on a device: one row for each. Nothing is opened here.

The rows stand in the order in which `dpsctl reset` removes files. What is made from the record goes first, then the
record, then the credential: a record without its credential would still be used. The imported settings go last,
because they can name files of the credential.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dpsd.state.places import KEYS_SOCKET, Places

DEVICE = Places()
_STATE, _RUNTIME = DEVICE.state, DEVICE.runtime
FILE = "FILE"
"""Stands in a path for each file of the credential that the configuration names."""

RESET, RESET_CREDENTIAL = "dpsctl reset", "dpsctl reset --credential"
DISABLE = "dpsctl agent disable"
STOP, REBOOT, PURGE, NOBODY = "systemd", "a reboot", "apt purge", "nobody"
"""Who forgets a file. `apt purge` also forgets all that is in dpsd's own folders, and a reboot all that is in /run."""

PAYLOAD = "the payload"
SEAL_KEY = "the key of the seals"
KEY = "the device's key"
ENCRYPTED = "encrypted"
"""What secret a file holds. An encrypted one opens with the key of the seals, or with systemd's own secret."""

DRAFT, UNUSABLE, NEWER = ".{}.new", "{}.unusable", "{}.newer-*"
"""Names beside a file: what an interrupted write left, what cannot be read, and what a later version wrote."""


class Access(NamedTuple):
    """Whose a file is, and its mode; all empty where that is as it was with the file that it replaces."""

    owner: str
    group: str
    mode: int | None


class Row(NamedTuple):
    """One file, or a folder, whose path ends with a slash.

    path: on a device; a star in it stands for any name. holds: in words. written: by whom, or when. secret: in the
    clear, or encrypted; empty where there is none. beside: the forms of the names that can lie beside it and hold the
    same. why: the reason where no reset forgets it.
    """

    path: str
    access: Access
    holds: str
    written: str
    forgotten: str
    secret: str = ""
    beside: tuple[str, ...] = (DRAFT,)
    why: str = ""


_PUBLIC = Access("dpsd", "dpsd", 0o644)
_PRIVATE = Access("dpsd", "dpsd", 0o600)
_SHARED = Access("dpsd", "dpsd-agents", 0o640)
_ROOTS = Access("root", "root", 0o600)
_ROOTS_PUBLIC = Access("root", "root", 0o644)
_AS_IT_WAS = Access("", "", None)
_FOLDER = Access("dpsd", "dpsd", 0o755)
_ROOTS_FOLDER = Access("root", "root", 0o700)
_ROOTS_PUBLIC_FOLDER = Access("root", "root", 0o755)

_REGISTERED, _RELEASED = "at a registration", "at each boot, if the configuration asks for it"
_SEALED, _IMPORTED, _RENEWED = "`dpsctl seal`, `dpsctl import`", "`dpsctl import`", "`dpsctl renew`"
_HANDED_OVER, _AGENT = "`dpsctl seal --systemd`", "`dpsctl agent enable`"
_RECHECK = "the token door, when an agent asks for it"
_INSTALLED = "at installation and at boot"

_KEPT = (DRAFT, UNUSABLE, NEWER)
_EMPTY = "it is empty, and two processes could hold a lock that is made anew"
_OF_NO_BOARD = "it says nothing of the board"

_CREDSTORE, _ENCRYPTED, _UNITS = "/etc/credstore", "/etc/credstore.encrypted", "/etc/systemd/system"

ROWS = (
    Row(_RUNTIME.provisioned, _PUBLIC, "the sign that this boot is provisioned", "at each boot", RESET),
    Row(_RUNTIME.status, _PUBLIC, "what the daemon does", "at each step", RESET),
    Row(_RUNTIME.released_private_key, _SHARED, "the key, for agents", _RELEASED, RESET, KEY),
    Row(_RUNTIME.released_connection_string, _SHARED, "the connection string, for agents", _RELEASED, RESET, KEY),
    Row(_RUNTIME.released_certificate, _SHARED, "the certificate, for agents", _RELEASED, RESET),
    Row(_STATE.connection_env, _PUBLIC, "the connection", _REGISTERED, RESET),
    Row(_STATE.connection_json, _PUBLIC, "the connection", _REGISTERED, RESET),
    Row(_STATE.payload_draft, _SHARED, "the payload, until it is whole", _REGISTERED, RESET, PAYLOAD, ()),
    Row(_STATE.payload_json, _SHARED, "what a custom allocation sent back", _REGISTERED, RESET, PAYLOAD),
    Row(_STATE.history, _PUBLIC, "the last outcomes", "when the problem changes, at most hourly", RESET),
    Row(_STATE.renewed, _PRIVATE, "the assignment of a renewed pair", _RENEWED, RESET, PAYLOAD),
    Row(_RUNTIME.rechecked, _PUBLIC, "when an agent last asked for a look at the hub", _RECHECK, RESET),
    Row(_STATE.recheck, _PRIVATE, "the order to look at the hub, until that is done", _RECHECK, RESET),
    Row(_STATE.record, _PRIVATE, "the assignment record", _REGISTERED, RESET, PAYLOAD, _KEPT),

    Row(_STATE.candidate, _PRIVATE, "a sealed credential to be tried", _SEALED, RESET_CREDENTIAL, ENCRYPTED, _KEPT),
    Row(_STATE.sealed, _PRIVATE, "the sealed credential", _SEALED, RESET_CREDENTIAL, ENCRYPTED, _KEPT),
    Row(f"{FILE}.new", _AS_IT_WAS, "a part of the new credential", _RENEWED, RESET_CREDENTIAL, KEY),
    Row(FILE, _AS_IT_WAS, "a part of the credential", f"its owner, {_RENEWED}", RESET_CREDENTIAL, KEY, ()),
    Row(f"{_CREDSTORE}/dpsd.certificate", _ROOTS, "the certificate", _HANDED_OVER, RESET_CREDENTIAL),
    Row(f"{_CREDSTORE}/dpsd.private_key", _ROOTS, "the key", "its owner", RESET_CREDENTIAL, KEY),
    Row(f"{_CREDSTORE}/dpsd.primary_key", _ROOTS, "the key", "its owner", RESET_CREDENTIAL, KEY),
    Row(f"{_CREDSTORE}/dpsd.secondary_key", _ROOTS, "the other key", "its owner", RESET_CREDENTIAL, KEY),
    Row(f"{_ENCRYPTED}/dpsd.certificate", _ROOTS, "the certificate", "its owner", RESET_CREDENTIAL, ENCRYPTED),
    Row(f"{_ENCRYPTED}/dpsd.private_key", _ROOTS, "the key", _HANDED_OVER, RESET_CREDENTIAL, ENCRYPTED),
    Row(f"{_ENCRYPTED}/dpsd.primary_key", _ROOTS, "the key", _HANDED_OVER, RESET_CREDENTIAL, ENCRYPTED),
    Row(f"{_ENCRYPTED}/dpsd.secondary_key", _ROOTS, "the other key", _HANDED_OVER, RESET_CREDENTIAL, ENCRYPTED),
    Row(
        f"{_UNITS}/dpsd-identity.service.d/50-dpsd-credentials.conf", _ROOTS_PUBLIC,
        "what systemd hands over to the token door", _HANDED_OVER, RESET_CREDENTIAL,
    ),
    Row(
        f"{_UNITS}/dpsd.service.d/50-dpsd-credentials.conf", _ROOTS_PUBLIC, "what systemd hands over", _HANDED_OVER,
        RESET_CREDENTIAL,
    ),
    Row(
        f"{DEVICE.keys}/systemd.json", _ROOTS, "what opens seals, for systemd-creds", _SEALED, RESET_CREDENTIAL,
        ENCRYPTED, (DRAFT, UNUSABLE),
    ),
    Row(
        f"{DEVICE.keys}/file.key", _ROOTS, "what opens seals", _SEALED, RESET_CREDENTIAL, SEAL_KEY, (DRAFT, UNUSABLE),
    ),
    Row(DEVICE.imports.adopting, _ROOTS, "what is being imported", _IMPORTED, RESET_CREDENTIAL),
    Row(DEVICE.imports.adopted, _ROOTS, "what was imported last", _IMPORTED, RESET_CREDENTIAL),
    Row(_STATE.candidate_settings, _ROOTS_PUBLIC, "imported settings to be tried", _IMPORTED, RESET_CREDENTIAL),
    Row(_STATE.imported, _ROOTS_PUBLIC, "the imported settings", _IMPORTED, RESET_CREDENTIAL),

    Row(_STATE.lock, _PRIVATE, "nothing: a lock", "at each start", PURGE, beside=(), why=_EMPTY),
    Row(_STATE.seal_lock, _PRIVATE, "nothing: a lock", _SEALED, PURGE, beside=(), why=_EMPTY),
    Row(DEVICE.imports.lock, _ROOTS, "nothing: a lock", _IMPORTED, PURGE, beside=(), why=_EMPTY),
    Row(
        "/run/dpsd-connection/started", _ROOTS, "a checksum of what agents were started with",
        "dpsd-connection.service", REBOOT, beside=(), why="agents go on after a reset",
    ),
    Row(
        KEYS_SOCKET, Access("root", "dpsd", 0o660), "nothing: a socket", "dpsd-keys.socket", STOP, beside=(),
        why="it is systemd's",
    ),
    Row(
        _RUNTIME.identity_socket, Access("dpsd", "dpsd-agents", 0o660), "nothing: a socket", "dpsd-identity.socket",
        PURGE, beside=(), why="it is systemd's",
    ),
    Row(f"{_UNITS}/*.d/50-dpsd.conf", _ROOTS_PUBLIC, "what a unit waits for", _AGENT, DISABLE, why=_OF_NO_BOARD),
    Row(
        f"{_UNITS}/dpsd-provisioned.target.wants/*", Access("root", "root", 0o777), "a link to a unit that waits",
        _AGENT, DISABLE, beside=(), why=_OF_NO_BOARD,
    ),
    Row(
        "/boot/firmware/dpsd/dpsd-report.txt", _ROOTS_PUBLIC, "what became of a bundle", "dpsd-import.service", NOBODY,
        why="it is for whoever brought the bundle",
    ),

    Row(f"{DEVICE.state}/", _FOLDER, "what the daemon keeps", _INSTALLED, PURGE),
    Row(f"{_STATE.private}/", Access("dpsd", "dpsd", 0o700), "what only the daemon reads", _INSTALLED, PURGE),
    Row(
        f"{_STATE.agents_staging}/", Access("dpsd", "dpsd-agents", 0o2700), "files for agents, until they are whole",
        _INSTALLED, PURGE,
    ),
    Row(f"{DEVICE.runtime}/", _FOLDER, "what the daemon keeps in memory", _INSTALLED, PURGE),
    Row(
        f"{_RUNTIME.credentials}/", Access("dpsd", "dpsd-agents", 0o2750), "what agents get of the credential",
        _INSTALLED, PURGE,
    ),
    Row(f"{DEVICE.imports}/", _ROOTS_FOLDER, "notes on imports", _INSTALLED, PURGE),
    Row(f"{DEVICE.keys}/", _ROOTS_FOLDER, "what opens seals", _INSTALLED, PURGE),
    Row(f"{DEVICE.imports}/stick/", _ROOTS_FOLDER, "a USB stick, while it is read", "dpsd-import-usb@.service", PURGE),
    Row(
        "/run/dpsd-connection/", _ROOTS_PUBLIC_FOLDER, "what agents were started with", "dpsd-connection.service",
        PURGE,
    ),
    Row("/run/dpsd-identity/", _ROOTS_PUBLIC_FOLDER, "the sockets of the doors", "dpsd-identity.socket", PURGE),
    Row(f"{_UNITS}/dpsd-identity.service.d/", _ROOTS_PUBLIC_FOLDER, "drop-ins of the door", _HANDED_OVER, PURGE),
    Row(f"{_UNITS}/dpsd.service.d/", _ROOTS_PUBLIC_FOLDER, "drop-ins of dpsd.service", _HANDED_OVER, PURGE),
    Row(
        f"{_UNITS}/dpsd-provisioned.target.wants/", _ROOTS_PUBLIC_FOLDER, "links to units that wait", _AGENT, NOBODY,
        why="links of the owner's own can be in it",
    ),
    Row(
        f"{_UNITS}/*.d/", _ROOTS_PUBLIC_FOLDER, "drop-ins of a unit that waits", _AGENT, DISABLE,
        why="it goes once it is empty",
    ),
    Row(f"{_CREDSTORE}/", _ROOTS_FOLDER, "credentials of any service", f"systemd, {_HANDED_OVER}", NOBODY,
        why="it is systemd's"),
    Row(f"{_ENCRYPTED}/", _ROOTS_FOLDER, "credentials of any service", f"systemd, {_HANDED_OVER}", NOBODY,
        why="it is systemd's"),
)  # fmt: skip
"""Files in the order in which they go, then what no reset forgets, then folders."""


def names(path: str, row: Row) -> list[str]:
    """Return the names beside the file of a row that lies at `path`, and its own; a star in one stands for anything."""
    folder, _, name = path.rpartition("/")
    return [*(f"{folder}/{form.format(name)}" for form in row.beside if name), path]


def row_of(path: str, files: Iterable[str] = ()) -> Row | None:
    """Return the row of what lies at `path` on a device, None where no row names it.

    path: of a folder with a slash at its end. files: of the credential, as the configuration names them.
    """
    for row in ROWS:
        for place in paths_of(row, files):
            if any(_fits(path, name) for name in names(place, row)):
                return row
    return None


def paths_of(row: Row, files: Iterable[str] = ()) -> list[str]:
    """Return where a row's file can lie on a device; files: as of `row_of`."""
    return [row.path.replace(FILE, file) for file in files] if row.path.startswith(FILE) else [row.path]


def located(path: str, places: Places) -> str:
    """Return where what a device has at `path` lies in these places."""
    return _moved(path, DEVICE, places)


def on_device(path: str, places: Places) -> str:
    """Return where a device has what lies at `path` in these places."""
    return _moved(path, places, DEVICE)


def _moved(path: str, before: Places, after: Places) -> str:
    for top, other in zip(_tops(before), _tops(after), strict=True):
        if path.startswith(f"{top}/"):
            return other + path[len(top) :]
    return path


def _tops(places: Places) -> tuple[str, ...]:
    """Inner folders first: in a state directory that is not the device's, keys and imports are below `private`."""
    return places.keys, places.imports, places.state, places.runtime


def _fits(path: str, name: str) -> bool:
    before, star, after = name.partition("*")
    if not star:
        return path == name
    between = path[len(before) : len(path) - len(after)]
    return path.startswith(before) and path.endswith(after) and between != "" and "/" not in between
