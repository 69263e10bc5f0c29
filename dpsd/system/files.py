"""Files that survive a power cut at any instruction.

A file is written beside its place, flushed and renamed, and then the folder is flushed: after a cut there is the old
file or the new one. The next commit of the same file overwrites what a cut left behind.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
from typing import NamedTuple

from dpsd.errors import Problem
from dpsd.text import printable

NEWER = ".newer-"
"""Stands between the name of a file that a later version of the program wrote, and a number."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def commit(path: str, data: bytes, mode: int, staging: str | None = None) -> None:
    """Put `data` at `path` with `mode`, all or nothing; raises Problem `state-unwritable`.

    staging: a folder on the same file system where the file is written first, to get that folder's group.
    """
    folder, temporary = os.path.dirname(path), temporary_path(path, staging)
    try:
        _write(temporary, data, mode)
        os.rename(temporary, path)
        _flush_folder(folder)
    except OSError as error:
        _remove_quietly(temporary)
        raise _make_unwritable(path, error) from None


def temporary_path(path: str, staging: str | None = None) -> str:
    """Return the path that a commit of `path` writes to before it renames; a cut may leave that file behind."""
    folder, name = os.path.split(path)
    return f"{staging or folder}/.{name}.new"


def commit_if_changed(path: str, data: bytes, mode: int, staging: str | None = None) -> bool:
    """Commit unless the file already has this content and mode; return whether it was written."""
    if load(path) == data and _read_mode(path) == mode:
        return False
    commit(path, data, mode, staging)
    return True


def replace(path: str, data: bytes, mode: int) -> None:
    """Put `data` at `path` in one step but without flushing, for files in memory; raises as `commit`."""
    temporary = temporary_path(path)
    try:
        _write(temporary, data, mode, flush=False)
        os.rename(temporary, path)
    except OSError as error:
        raise _make_unwritable(path, error) from None


def replace_if_changed(path: str, data: bytes, mode: int) -> None:
    """Replace unless the file already has this content and mode; raises as `commit`."""
    if load(path) != data or _read_mode(path) != mode:
        replace(path, data, mode)


def remove(path: str) -> None:
    """Remove a file, if it exists, durably; raises Problem `state-unwritable`."""
    try:
        os.unlink(path)
        _flush_folder(os.path.dirname(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _make_unwritable(path, error) from None


def set_aside(path: str) -> str:
    """Move a file that cannot be used to `PATH.unusable` and return that path; raises Problem `state-unwritable`."""
    aside = unusable_path(path)
    move(path, aside)
    return aside


def keep_aside(path: str) -> str:
    """Move a file to the first free one of `PATH.newer-1`, `PATH.newer-2`, ... and return that path.

    Raises Problem `state-unwritable`.
    """
    try:
        for number in itertools.count(1):
            aside = f"{path}{NEWER}{number}"
            try:
                os.link(path, aside, follow_symlinks=False)  # unlike rename, this replaces no file
            except FileExistsError:
                continue
            os.unlink(path)
            _flush_folder(os.path.dirname(path))
            return aside
    except OSError as error:
        raise _make_unwritable(path, error) from None
    raise AssertionError("counting does not end")


def list_kept_aside(path: str) -> list[str]:
    """Return the paths to which `keep_aside` has moved `path`."""
    folder, name = os.path.split(path)
    try:
        return sorted(f"{folder}/{one}" for one in os.listdir(folder) if one.startswith(name + NEWER))
    except OSError:
        return []


def move(path: str, to: str) -> None:
    """Rename a file durably, over another one if there is one; raises Problem `state-unwritable`."""
    try:
        os.rename(path, to)
        _flush_folder(os.path.dirname(to))
    except OSError as error:
        raise _make_unwritable(to, error) from None


def unusable_path(path: str) -> str:
    """Return the path to which `set_aside` moves `path`."""
    return f"{path}.unusable"


def load(path: str, limit: int = 1 << 20) -> bytes | None:
    """Return the file's bytes; None unless it is a regular, readable file of at most `limit` bytes."""
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            return None
        return os.read(descriptor, limit + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def make_folder(path: str, mode: int) -> None:
    """Make a folder unless it exists; raises Problem `state-unwritable`."""
    usual = os.umask(0)  # so that the folder never has another mode
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except OSError as error:
        raise _make_unwritable(path, error) from None
    finally:
        os.umask(usual)


class HeldLock(NamedTuple):
    """A lock that is held to the end of its `with` block, or else of the process."""

    descriptor: int

    def __enter__(self) -> HeldLock:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def lock(path: str, *, wait: bool = False) -> HeldLock:
    """Take a lock at once; `with lock(path):` releases it at the end of the block.

    Raises Problem `state-locked` if another process holds it, unless `wait` is given, and `state-unwritable` if the
    lock's file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _make_unwritable(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        raise Problem("state-locked", f"{printable(path)} is held by another process") from None
    return HeldLock(descriptor)


def _write(path: str, data: bytes, mode: int, flush: bool = True) -> None:
    _remove_quietly(path)
    descriptor = os.open(path, _CREATE, 0o600)
    try:
        os.fchmod(descriptor, mode)  # before the first byte, so that nobody reads a secret meanwhile
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if flush:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(path: str) -> None:
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _read_mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode)


def _make_unwritable(path: str, error: OSError) -> Problem:
    what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
    return Problem("state-unwritable", f"cannot write {printable(path)}: {what}")
