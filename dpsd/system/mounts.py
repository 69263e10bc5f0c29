"""The file systems that paths are on."""

from __future__ import annotations

import os

MOUNTS = "/proc/self/mounts"
# A Raspberry Pi's read-only root is an overlay whose upper layer is in memory.
VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})
"""Kinds of file systems that a reboot empties."""
# Without overlay, since its upper layer may be on a disk.
MEMORY = frozenset({"tmpfs", "ramfs"})
"""Kinds of file systems that are in memory."""


def find_volatile_kind(path: str, mounts: str = MOUNTS) -> str | None:
    """Return the kind of the file system that `path` is on, None unless a reboot empties it. mounts: as in proc(5)."""
    kind = _find_kind(path, mounts)
    return kind if kind in VOLATILE else None


def is_in_memory(path: str, mounts: str = MOUNTS) -> bool:
    """Tell whether `path` is in memory rather than on a disk, apart from swap space. mounts: as in proc(5)."""
    return _find_kind(path, mounts) in MEMORY


def find_mounted_kind(path: str, mounts: str = MOUNTS) -> str | None:
    """Return the kind of the file system mounted at `path` itself, None if none is. mounts: as in proc(5)."""
    return _read_kinds(mounts).get(os.path.realpath(path))


def _find_kind(path: str, mounts: str) -> str | None:
    kinds, real = _read_kinds(mounts), os.path.realpath(path)
    above = max((place for place in kinds if _is_above(place, real)), key=len, default="")
    return kinds.get(above)


def _read_kinds(mounts: str) -> dict[str, str]:
    """Return the kind of the file system at each mount point, the one mounted there last."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split(" ") for line in file]
    except OSError:
        return {}
    return {_unescape(row[1]): row[2] for row in rows if len(row) > 2}


def _is_above(place: str, path: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _unescape(place: str) -> str:
    """Return a path without the escapes of proc(5) for blanks and backslashes."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(code, character)
    return place
