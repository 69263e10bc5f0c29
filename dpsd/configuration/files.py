"""Reading the configuration's files, and refusing those that others may write."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from dpsd.configuration.settings import Layer
from dpsd.errors import Problem
from dpsd.state.places import CONFIGURATION
from dpsd.text import printable

SIZE_LIMIT = 64 * 1024
"""Bytes of one file."""

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Fault(NamedTuple):
    """said: what is wrong, after a path. mend: the command for it, before a path."""

    said: str
    mend: str


def writers(configuration: tuple[str, ...]) -> frozenset[int]:
    """Return the user ids that may write the configuration besides root: none on a device, else whoever runs this."""
    return frozenset({os.geteuid()}) if configuration != CONFIGURATION else frozenset[int]()


def load_layers(paths: list[str], writers: frozenset[int]) -> list[Layer]:
    """Read configuration files.

    writers: user ids that may write the files and the folders above them, besides root.
    Raises Problem `configuration-missing`, `configuration-insecure` or `configuration-invalid`.
    """
    if not paths:
        raise Problem("configuration-missing", "there is no configuration file")
    return [Layer(path, _load(path, writers | {0})) for path in paths]


def _load(path: str, writers: frozenset[int]) -> str:
    shown = printable(path)
    try:
        _check_ways(path, writers)
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        raise Problem("configuration-missing", f"{shown} does not exist") from None
    except OSError as error:
        hint = "let the user dpsd read it; /root and /home are closed to that"
        raise Problem("configuration-missing", f"{shown} cannot be read: {error.strerror}", hint=hint) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > SIZE_LIMIT:
            raise Problem("configuration-invalid", f"{shown} is not a regular file of at most {SIZE_LIMIT} bytes")
        _check_writers(shown, found, writers)
        return os.read(descriptor, SIZE_LIMIT).decode()
    except UnicodeDecodeError as error:
        raise Problem("configuration-invalid", f"{shown} is not UTF-8 (byte {error.start})") from None
    finally:
        os.close(descriptor)


def check_writers(path: str, writers: frozenset[int]) -> None:
    """Raise Problem `configuration-insecure` if others than root and `writers` could change a file that is there."""
    try:
        _check_ways(path, writers | {0})
        _check_writers(printable(path), os.stat(path), writers | {0})
    except OSError:  # whoever opens it will say so
        return


def _check_ways(path: str, writers: frozenset[int]) -> None:
    """Check the folders above a file, and above what it is a link to."""
    for name in (path, os.path.realpath(path)):
        _check_folders(os.path.realpath(os.path.dirname(name) or "."), writers)


def _check_folders(folder: str, writers: frozenset[int]) -> None:
    while True:
        _check_writers(printable(folder), os.stat(folder), writers | {os.geteuid()})
        if folder == "/":
            return
        folder = os.path.dirname(folder)


def _check_writers(shown: str, found: os.stat_result, writers: frozenset[int]) -> None:
    fault = writers_fault(found, writers)
    if fault is not None:
        raise Problem("configuration-insecure", f"{shown} {fault.said}", hint=f"{fault.mend} {shown}")


def writers_fault(found: os.stat_result, writers: frozenset[int]) -> Fault | None:
    """Return what lets others than `writers` change a file or folder, None where nothing does."""
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in writers:
        return Fault(f"belongs to user {found.st_uid}, who could change it", "chown root")
    # In a sticky folder others may add files, but not replace this one.
    sticky = stat.S_ISDIR(found.st_mode) and mode & stat.S_ISVTX
    if mode & _OTHERS_WRITE and not sticky:
        return Fault(f"may be written by others (mode {mode:04o})", "chmod go-w")
    return None
