"""What is mounted where."""

from __future__ import annotations

import os

MOUNTS = "/proc/self/mounts"
VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})
"""Kinds that a reboot empties: a Raspberry Pi's read-only root is an overlay whose upper layer is in memory."""
MEMORY = frozenset({"tmpfs", "ramfs"})
"""An overlay is not among them: its upper layer may be on a disk."""


def find_volatile_kind(path: str, mounts: str = MOUNTS) -> str | None:
    """Return the kind of file system that `path` is on if a reboot empties it. mounts: a file as in proc(5)."""
    kind = _find_kind(path, mounts)
    return kind if kind in VOLATILE else None


def is_in_memory(path: str, mounts: str = MOUNTS) -> bool:
    """Tell whether what is written to `path` is on no disk, swap space aside. mounts: a file as in proc(5)."""
    return _find_kind(path, mounts) in MEMORY


def find_mounted_kind(path: str, mounts: str = MOUNTS) -> str | None:
    """Return the kind of file system that is mounted just there, if one is. mounts: a file as in proc(5)."""
    return _read_kinds(mounts).get(os.path.realpath(path))


def _find_kind(path: str, mounts: str) -> str | None:
    kinds, real = _read_kinds(mounts), os.path.realpath(path)
    above = max((place for place in kinds if _is_above(place, real)), key=len, default="")
    return kinds.get(above)


def _read_kinds(mounts: str) -> dict[str, str]:
    """Return the kind of file system by mount point; the last one mounted there counts."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split(" ") for line in file]
    except OSError:
        return {}
    return {_unescape(row[1]): row[2] for row in rows if len(row) > 2}


def _is_above(place: str, path: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _unescape(place: str) -> str:
    """Undo what proc(5) does to blanks and backslashes."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(code, character)
    return place
