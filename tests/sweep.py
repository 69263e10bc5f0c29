"""The sweep: no secret of a test is in what comes out of dpsd, and no file of it is open to more than it should be.

`tests/conftest.py` sweeps every test of the whole run: what its processes printed, the files it left behind, what it
printed itself. `Board` and the booted machines add what only they know: notifications, arguments, environments and
journals.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from dpsd.state import files
from dpsd.state.places import Places
from tests import canaries

LARGEST = 16 << 20
"""Bytes of a file that are looked at."""
BY_DESIGN = {
    f"*{name}": "" if row.secret == files.KEY else row.secret
    for row in files.ROWS
    if row.secret not in ("", files.ENCRYPTED) and not row.path.startswith((files.FILE, "/etc/"))
    for path in (row.path, files.located(row.path, Places(state="/state", runtime="/run")))
    for name in files.names(path, row)
}
"""Files of dpsd that hold a secret because that is what they are for, of devices and of the tests' own state
directories; with a name, that one and no other."""
EMULATOR = "ports.json"
"""What the emulator's folder is known by: its secrets are its own; its log is looked at."""
DRAFT_NAME = re.compile(r"\.[^/]+\.new")
"""A file that is being written, which may be read by no more than the whole one."""
JOURNAL = (".journal", ".journal~")
"""Files that journalctl shows, whose output is looked at: each has 8 MiB at least."""
PRODUCT = re.compile(r"(?:.*/)?(?:dpsd|dpsctl|dpsd\.dpsctl|dpsd\.__main__|journalctl|systemctl)")


class LeakError(AssertionError):
    """A secret is where it must not be, or could be read by somebody who must not."""


def check(data: bytes | str, where: str) -> None:
    """Raise LeakError if a secret is in `data`; the secret itself is not repeated."""
    found = canaries.find(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))
    if found:
        raise LeakError(f"{found} is in {where}")


def check_files(folder: Path) -> None:
    """Look into every file below `folder` but those that the test made to hold secrets."""
    for path, found in findings(folder):
        raise LeakError(f"{found} is in {path}")


def findings(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file below `folder` that holds a secret and is not made for it, and what secret."""
    for path in _files(folder):
        if not canaries.is_home(path):
            found = canaries.find(_content(path))
            if found and not _is_by_design(found, str(path)):
                yield path, found


def check_closed(path: Path, top: Path, owners: frozenset[int], groups: frozenset[int]) -> None:
    """Raise LeakError if a file is others' than `owners`, or if others than they and `groups` can read it, or write.

    top: above it folders do not count.
    """
    found = path.lstat()
    shared = 0o040 if found.st_gid in groups else 0
    ways = [folder for folder in path.parents if top in folder.parents]
    sheltered = any(not folder.lstat().st_mode & 0o011 for folder in ways)
    if found.st_uid not in owners or (not sheltered and found.st_mode & 0o077 & ~shared):
        raise LeakError(f"{path} is {shown(found)}")


def _is_by_design(found: str, path: str) -> bool:
    return any(fnmatch(path, pattern) and name in ("", found) for pattern, name in BY_DESIGN.items())


def _files(folder: Path) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        if EMULATOR in names:
            names[:] = [name for name in names if name in ("events.jsonl", "errors.txt", "exchanges.jsonl")]
            folders.clear()
        paths = (Path(top, name) for name in names if not name.endswith(JOURNAL))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError:  # A process that is gone, a file that is only root's.
        return b""


def check_device(state: Path, runtime: Path) -> None:
    """Raise LeakError if a file of a state directory that is not a device's is in no row, is somebody else's or is open
    to more than its row says."""
    places = Places(state=str(state), runtime=str(runtime))
    for path, found in _met(*(folder for folder in (state, runtime) if folder.is_dir())):
        row = row_at(files.on_device(path_of(path, found), places))
        wider = stat.S_IMODE(found.st_mode) & ~((row.access.mode or 0) | stat.S_ISGID * stat.S_ISDIR(found.st_mode))
        if wider or found.st_uid not in (0, os.geteuid()):
            raise LeakError(f"{path} is {shown(found)}, not {row.access}")


def check_exactly(top: Path, path: Path, ids: Mapping[str, int]) -> None:
    """Raise LeakError for what a device has at `path`, and below it, as `check_one`; top: the device's root."""
    for one, _ in _met(path):
        with contextlib.suppress(FileNotFoundError):
            check_one(one, f"/{one.relative_to(top)}", ids)


def check_one(path: Path, place: str, ids: Mapping[str, int], configured: Iterable[str] = ()) -> None:
    """Raise LeakError if a file is in no row, or is not just what its row says; a draft can be narrower.

    place: where the device has it. ids: of users and groups, by name. configured: the credential's files.
    """
    found = path.lstat()
    row = row_at(path_of(Path(place), found), configured)
    owner, group, mode = row.access
    is_narrower = mode is not None and DRAFT_NAME.fullmatch(path.name) and stat.S_IMODE(found.st_mode) & ~mode == 0
    expected = mode if mode is None or not is_narrower else stat.S_IMODE(found.st_mode)
    access = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))
    if expected is not None and access != (ids[owner], ids[group], expected):
        raise LeakError(f"{path} is {shown(found)}, not {row.access}")


def _met(*tops: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield folders and all that is in them, but a draft that has become the file meanwhile."""
    for top in tops:
        for path in [top, *top.rglob("*")]:
            with contextlib.suppress(FileNotFoundError):
                yield path, path.lstat()


def path_of(path: Path, found: os.stat_result) -> str:
    """Return a path as the table has it: of a folder with a slash at its end."""
    return f"{path}/" if stat.S_ISDIR(found.st_mode) else str(path)


def row_at(path: str, configured: Iterable[str] = ()) -> files.Row:
    """Return the row of what a device has at `path`; raises LeakError where none names it."""
    row = files.row_of(path, configured)
    if row is None:
        raise LeakError(f"no row of dpsd.state.files says what {path} is")
    return row


def shown(found: os.stat_result) -> str:
    return f"{stat.S_IMODE(found.st_mode):04o} {found.st_uid}:{found.st_gid}"


class Processes:
    """A running process and all that it starts: their arguments, environments and core-file limits.

    `look` is called often while something runs: it reads what is new only.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: set[tuple[int, bytes]] = set()

    def look(self) -> None:
        """Raise LeakError if a secret is in what /proc tells of them, or if an attempt could be dumped."""
        for pid in family(self._pid):
            command = _content(Path(f"/proc/{pid}/cmdline"))
            if (pid, command) not in self._seen:
                self._seen.add((pid, command))
                check(command, f"the arguments of process {pid}")
                check(_content(Path(f"/proc/{pid}/environ")), f"the environment of process {pid}")
                if b"\0attempt\0" in command:
                    check_core_limit(pid)


def family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants, as far as they live."""
    yield pid
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for task in tasks:
        for child in _content(Path(f"/proc/{pid}/task/{task}/children")).split():
            yield from family(int(child))


def check_core_limit(pid: int) -> None:
    """Raise LeakError if a process may be dumped, to a file or to a program (see `dpsd.system.process`)."""
    limits = _content(Path(f"/proc/{pid}/limits"))
    if limits and not re.search(rb"^Max core file size +1 +1 ", limits, re.MULTILINE):
        raise LeakError(f"process {pid} may leave a core dump")


def is_product(command: Any) -> bool:
    """Tell whether a command runs dpsd or dpsctl, or asks systemd about them."""
    words = [command] if isinstance(command, str | bytes | os.PathLike) else list(command)
    return any(PRODUCT.fullmatch(os.fsdecode(word)) for word in words)


Communicate = Callable[..., tuple[Any, Any]]


def sweeping(communicate: Communicate) -> Communicate:
    """Return `subprocess.Popen.communicate` as one that looks at what dpsd and dpsctl have printed."""

    def swept(process: subprocess.Popen[Any], *given: Any, **named: Any) -> tuple[Any, Any]:
        printed = communicate(process, *given, **named)
        if is_product(process.args):
            for name, text in zip(("stdout", "stderr"), printed, strict=True):
                check(text or b"", f"the {name} of {process.args!r}")
        return printed

    return swept
