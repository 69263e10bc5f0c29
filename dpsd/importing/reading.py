"""Reading an import bundle: a folder, .tar, .tar.gz or .zip with a device's configuration and credential.

Whoever could write to a card or a stick made it. It is read in memory, within limits, never through a link, and never
extracted.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator

from dpsd.errors import Problem
from dpsd.importing.archives import ENTRY_LIMIT, FILE_LIMIT, SIZE_LIMIT, ArchiveError, Entry, unpack
from dpsd.importing.bundle import NAMES, REPORT, Bundle, Files
from dpsd.text import printable, suggest

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_DROPPINGS = re.compile(
    r"\..*|__macosx|thumbs\.db|desktop\.ini|system volume information|\$recycle\.bin|found\.\d{3}|lost\.dir|lost\+found"
    rf"|{re.escape(REPORT)}(\.new)?"
)
"""What systems leave on any card or stick, and what dpsd itself does; lower-cased."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def load_bundle(path: str) -> Bundle:
    """Read a bundle; raises Problem `bundle-missing` or `bundle-invalid`.

    A folder that holds one archive, and no file of a bundle, stands for that archive.
    """
    place = os.path.abspath(path)
    descriptor, found = _open(place)
    try:
        if stat.S_ISDIR(found.st_mode):
            return _of_folder(place, descriptor)
        return _of_archive(place, _read(place, descriptor, found, SIZE_LIMIT))
    finally:
        os.close(descriptor)


def _of_folder(place: str, descriptor: int) -> Bundle:
    names = _list(place, descriptor)
    archives = [name for name in names if name.lower().endswith(ARCHIVES)]
    files = [name for name in names if name not in archives]
    _check_names(place, files)
    if not names:
        raise _empty(place)
    if not archives:
        contents = [(name, _load(place, name, descriptor, FILE_LIMIT)) for name in files]
        return Bundle(place, tuple(f"{place}/{name}" for name in files), Files(_named(place, contents)))
    if files or len(archives) > 1:
        raise _invalid(place, "holds several bundles: more than one archive, or an archive and other files")
    return _of_archive(f"{place}/{archives[0]}", _load(place, archives[0], descriptor, SIZE_LIMIT))


def _of_archive(place: str, data: bytes) -> Bundle:
    try:
        entries = [entry for entry in map(_without_dot, unpack(data)) if not _is_dropping(entry.name)]
    except ArchiveError as error:
        raise _invalid(place, str(error)) from None
    files = Files(_named(place, _contents(place, entries)))
    if not files:
        raise _empty(place)
    return Bundle(place, (place,), files)


def _without_dot(entry: Entry) -> Entry:
    """Drop the "./" that tar puts before names."""
    return entry._replace(name=re.sub(r"^(\./+)+", "", entry.name))


def _contents(place: str, entries: list[Entry]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file; all of them may be in one folder, as many tools pack it."""
    folders = set()
    for entry in entries:
        folder, _, name = entry.name.rpartition("/")
        if re.search(r"\\|\0|^/|(^|/)\.\.(/|$)", entry.name):
            raise _invalid(place, f"has an entry that leads out of it: {printable(entry.name)}")
        if entry.folder:
            continue
        if entry.content is None:
            raise _invalid(place, f"has an entry that {entry.wrong}: {printable(entry.name)}")
        folders.add(folder)
        if "/" in folder or len(folders) > 1:
            raise _invalid(place, f"has several folders: {printable(entry.name)}")
        _check_names(place, [name])
        yield name, entry.content


def _named(place: str, contents: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    seen = set()
    for name, content in contents:
        if name.lower() in seen:
            raise _invalid(place, f"has {printable(name)} twice")
        seen.add(name.lower())
        yield NAMES[name.lower()], content


def _check_names(place: str, names: list[str]) -> None:
    for name in names:
        if name.lower() not in NAMES:
            meant = suggest(name, NAMES.values())
            raise _invalid(place, f"has a file that is none of a bundle: {printable(name)}{meant}")


def _list(place: str, descriptor: int) -> list[str]:
    names: list[str] = []
    with os.scandir(descriptor) as found:
        for number, entry in enumerate(found, 1):
            if number > ENTRY_LIMIT:
                raise _invalid(place, f"has more than {ENTRY_LIMIT} entries")
            if not _is_dropping(entry.name):
                names.append(entry.name)
    return sorted(names)


def _is_dropping(name: str) -> bool:
    """Tell whether any part of a path is one: what is in such a folder is one too. ".." is none."""
    parts = name.lower().split("/")
    return ".." not in parts and any(_DROPPINGS.fullmatch(part) for part in parts)


def _load(place: str, name: str, folder: int, limit: int) -> bytes:
    descriptor, found = _open(name, folder)
    try:
        return _read(f"{place}/{name}", descriptor, found, limit)
    finally:
        os.close(descriptor)


def _read(path: str, descriptor: int, found: os.stat_result, limit: int) -> bytes:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise _invalid(path, "is no plain file with one name")
    if found.st_size > limit:
        raise _invalid(path, f"has more than {limit} bytes")
    data = b""
    try:
        while len(data) <= limit and (piece := os.read(descriptor, limit + 1 - len(data))):
            data += piece
    except OSError as error:
        raise _invalid(path, f"cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise _invalid(path, f"has more than {limit} bytes")
    return data


def _open(path: str, folder: int | None = None) -> tuple[int, os.stat_result]:
    """Open a plain file or a folder and nothing else: to open a device can already do something."""
    try:
        kind = os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise _invalid(path, "is a link, a device or a pipe")
        descriptor = os.open(path, _OPEN, dir_fd=folder)
        return descriptor, os.fstat(descriptor)
    except (OSError, ValueError) as error:
        said = (isinstance(error, OSError) and error.strerror) or "is no path"
        raise Problem("bundle-missing", f"{printable(path)}: {said}") from None


def _empty(place: str) -> Problem:
    return Problem("bundle-missing", f"{printable(place)} holds no file of a bundle")


def _invalid(place: str, said: str) -> Problem:
    return Problem("bundle-invalid", f"{printable(place)} {said}")
