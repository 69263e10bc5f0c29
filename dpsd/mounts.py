"""Which file system a folder is on. Floor 2."""

from __future__ import annotations

import os

MOUNTS = "/proc/self/mounts"
VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})
"""Kinds that a reboot empties: a Raspberry Pi's read-only root is an overlay whose upper layer is in memory."""


def volatile_kind(path: str, mounts: str = MOUNTS) -> str | None:
    """Return the kind of file system that `path` is on if a reboot empties it. mounts: a file as in proc(5)."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split(" ") for line in file]
    except OSError:
        return None
    real = os.path.realpath(path)
    kinds = {_unescaped(row[1]): row[2] for row in rows if len(row) > 2}
    above = max((place for place in kinds if _is_above(place, real)), key=len, default="")
    kind = kinds.get(above)
    return kind if kind in VOLATILE else None


def _is_above(place: str, path: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _unescaped(place: str) -> str:
    """Undo what proc(5) does to blanks and backslashes."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(code, character)
    return place
