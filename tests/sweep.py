"""The sweep: no secret of a test is in what comes out of dpsd, and no file of it is open to more than it should be.

`tests/conftest.py` sweeps every test of the whole run: what its processes printed, the files it left behind, what it
printed itself. `Board` and the booted machines add what only they know: notifications, arguments, environments and
journals.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from tests import canaries

LARGEST = 16 << 20
"""Bytes of a file that are looked at."""
PAYLOAD = "the payload"
"""What the payload of a custom allocation is noted as."""
SEAL_KEY = "the key of the seals"
BY_DESIGN = {
    "*/payload.json": PAYLOAD,
    "*/private/assignment.json": PAYLOAD,
    "*/credentials/private_key.pem": "",
    "*/credentials/connection_string": "",
    "*/var/lib/dpsd-keys/file.key": SEAL_KEY,
}
"""Files of dpsd that hold a secret because that is what they are for; with a name, that one and no other."""
EMULATOR = "ports.json"
"""What the emulator's folder is known by: its secrets are its own; its log is looked at."""
JOURNAL = (".journal", ".journal~")
"""Files that journalctl shows, whose output is looked at: each has 8 MiB at least."""
PRODUCT = re.compile(r"(?:.*/)?(?:dpsd|dpsctl|dpsd\.dpsctl|dpsd\.__main__|journalctl|systemctl)")


class Access(NamedTuple):
    """The widest mode of a file. shared: by the group dpsd-agents, where there is one; else it is the owner's."""

    mode: int
    shared: bool = False


STATE: dict[str, Access] = {
    "": Access(0o755),
    "connection.json": Access(0o644),
    "connection.env": Access(0o644),
    "history.json": Access(0o644),
    "payload.json": Access(0o640, shared=True),
    "private": Access(0o700),
    "private/keys": Access(0o700),
    "private/import": Access(0o700),
    "private/agents": Access(0o2700, shared=True),
    "private/agents/*": Access(0o640, shared=True),
    "private/*": Access(0o600),
    "imported.toml": Access(0o644),
    "candidate.toml": Access(0o644),
}
KEYS: dict[str, Access] = {"": Access(0o700), "*": Access(0o600)}
IMPORTS: dict[str, Access] = {"": Access(0o700), "stick": Access(0o700), "*": Access(0o600)}
RUNTIME: dict[str, Access] = {
    "": Access(0o755),
    "status.json": Access(0o644),
    "provisioned": Access(0o644),
    "credentials": Access(0o2750, shared=True),
    "credentials/*": Access(0o640, shared=True),
}
"""Whatever is below the state and the runtime directory stands here: the first row that fits counts."""


DRAFT = re.compile(r"\.([^/]+)\.new$")
"""A file that is being written, which may be read by no more than the whole one."""


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
        raise LeakError(f"{path} is {stat.S_IMODE(found.st_mode):04o} {found.st_uid}:{found.st_gid}")


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


def check_modes(folder: Path, table: dict[str, Access], owner: int, agents: int | None = None) -> None:
    """Raise LeakError if `folder`, or something in it, is open to more than the table says, or is not in it.

    owner, agents: ids of the user and of the group that share.
    """
    for path in [folder, *folder.rglob("*")] if folder.exists() else []:
        name = "" if path == folder else DRAFT.sub(r"\1", str(path.relative_to(folder)))
        try:
            found = path.lstat()
        except FileNotFoundError:  # a draft that has become the file
            continue
        access = next((table[pattern] for pattern in table if fnmatch(name, pattern)), None)
        if access is None:
            raise LeakError(f"no table says who may read {path}")
        shared = access.shared and agents is not None
        wider = stat.S_IMODE(found.st_mode) & 0o7777 & ~(access.mode | stat.S_ISGID * (name == ""))
        if wider or found.st_uid not in (0, owner) or (shared and found.st_gid != agents):
            raise LeakError(f"{path} is {stat.S_IMODE(found.st_mode):04o} {found.st_uid}:{found.st_gid}, not {access}")


def check_device(state: Path, runtime: Path) -> None:
    """Check the modes of all that a device of a test has."""
    check_modes(state, STATE, os.geteuid())
    check_modes(runtime, RUNTIME, os.geteuid())


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
