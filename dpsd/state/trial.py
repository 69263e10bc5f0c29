"""What an attempt tries: the files in force, or files that wait to take their place once they have provisioned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Trial(NamedTuple):
    """waiting: by the path that a file is to have, the path where it waits now. description: what waits, in words, if
    people are to be told."""

    waiting: Mapping[str, str] = {}
    description: str = ""

    def where(self, path: str) -> str:
        """Return where the file that has, or is to have, this path is to be read now."""
        return self.waiting.get(path, path)


PRESENT = Trial()
"""The files in force: nothing waits."""
