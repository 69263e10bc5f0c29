"""A USB stick, mounted for as long as something is read from it.

Read-only, as mount(2) has it: somebody's file system, damaged perhaps, or pulled out meanwhile, is not written to.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dpsd.errors import Problem
from dpsd.text import printable

KIND = "vfat"
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_PROGRAMS = 1, 2, 4, 8
_FLAGS = ctypes.c_ulong(_READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_PROGRAMS)
_DETACH = 2


@contextmanager
def mounted(device: str, folder: str, kind: str = KIND) -> Iterator[None]:
    """Mount a device; its files are in `folder` inside of the `with` block. Raises Problem `bundle-missing`.

    kind: of the file system, for tests, since not every kernel has each.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(device), os.fsencode(folder), kind.encode(), _FLAGS, None) != 0:
        said = os.strerror(ctypes.get_errno())
        raise Problem("bundle-missing", f"{printable(device)} cannot be mounted as {kind}: {said}")
    try:
        yield
    finally:
        libc.umount2(os.fsencode(folder), _DETACH)
