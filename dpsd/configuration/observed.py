"""What the configuration and credential files look like, to see cheaply that nothing changed.

Whoever reads a file asks an `Observer` where it is, and so tells what was looked at: nobody predicts files. Public
files are remembered by their text, secret ones by device, inode, size and times, so that no secret is copied. A folder
of drop-ins is remembered by the names in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from dpsd.state.trial import PRESENT, Trial
from dpsd.system.files import load

TEXT_LIMIT = 64 * 1024
"""Bytes; no configuration or certificate chain is larger."""


class Observer:
    """Tells readers where to read the files of a trial, and remembers what those looked like just before.

    inputs: by path, as `observe` tells it. signatures: by the path that was read, what to compare it with later.
    """

    def __init__(self, trial: Trial = PRESENT) -> None:
        self.inputs: dict[str, Any] = {}
        self.signatures: dict[str, list[int] | None] = {}
        self._trial = trial

    def by_text(self, path: str) -> str:
        """Return where to read a public file or a folder of drop-ins; the same text written anew is no change."""
        return self._remember(path, secret=False)

    def by_stat(self, path: str) -> str:
        """Return where to read a file whose text is not to be kept."""
        return self._remember(path, secret=True)

    def watch(self, path: str) -> str:
        """Return where to look for what need not be there: another attempt is worth while once it has changed."""
        place = self._trial.where(path)
        self.signatures[place] = signature(place)
        return place

    def _remember(self, path: str, *, secret: bool) -> str:
        place = self.watch(path)
        self.inputs[path] = observe(place, secret=secret)
        return place


def observe(path: str, *, secret: bool = False) -> Any:
    """Return a JSON value that tells what is at `path` now; equal values mean that nothing changed."""
    if path.endswith("/"):
        return {"names": drop_ins(path)}
    text = None if secret else load(os.path.realpath(path), TEXT_LIMIT)
    if text is not None and b"PRIVATE KEY" not in text:
        return {"text": text.decode("utf-8", "backslashreplace")}
    return {"stat": signature(path)}


def unchanged(inputs: dict[str, Any]) -> bool:
    """Tell whether everything in `inputs` (path to observed value) still looks the same."""
    try:
        return all(observe(path, secret=_is_stat(seen)) == seen for path, seen in inputs.items())
    except ValueError:  # a path that no file can have, as only a damaged record names it
        return False


def signature(path: str) -> list[int] | None:
    """Return device, inode, size, and times in nanoseconds; None where nothing is."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def configuration_files(configuration: tuple[str, ...], locate: Callable[[str], str] = str) -> list[str]:
    """Return the configuration files that exist, in order: later ones win. locate: returns where to read one."""
    files: list[str] = []
    for path in configuration:
        place = locate(path)
        files += [locate(path + name) for name in drop_ins(path)] if path.endswith("/") else [place]
    return [path for path in files if os.path.lexists(path)]


def drop_ins(folder: str) -> list[str]:
    """Return the names of a folder's files that count, in order."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".toml") and not name.startswith("."))
    except OSError:
        return []


def _is_stat(seen: Any) -> bool:
    return isinstance(seen, dict) and "stat" in seen
