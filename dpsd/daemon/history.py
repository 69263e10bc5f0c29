"""The last outcomes, kept over a power cut.

journald's storage is volatile on Raspberry Pi OS, so this file is what tells tomorrow why a board did not come up. To
spare the card it is written only when the problem changes, and at most hourly.
"""

from __future__ import annotations

import json
from typing import Any

from dpsd.errors import Problem
from dpsd.shape import ShapeError, parse_object
from dpsd.state.places import State
from dpsd.system.clock import boot_clock, format_time, wall_clock
from dpsd.system.files import commit, load

SIZE_LIMIT = 8 * 1024
INTERVAL = 3600
"""Seconds between two writes, at least."""
_PROVISIONED = "provisioned"


class History:
    """The outcomes on disk, oldest first, and what is not yet written."""

    def __init__(self, state: State) -> None:
        self._path = state.history
        self._outcomes = _load(state.history)
        self._written_at: float | None = None
        self._on_disk = self._last_code()

    def succeeded(self) -> None:
        """Note that the device is provisioned."""
        self._note(_PROVISIONED, "the IoT Hub connection is on disk")

    def failed(self, problem: Problem) -> None:
        """Note a problem."""
        self._note(problem.code, problem.sentence)

    def seconds_until_due(self) -> float | None:
        """Return when what is noted should be written, 0 for now, None where the disk has it already."""
        if self._last_code() == self._on_disk:
            return None
        return 0 if self._written_at is None else max(0.0, self._written_at + INTERVAL - boot_clock())

    def flush(self) -> None:
        """Write what is noted, if it is due; raises Problem `state-unwritable`."""
        if self.seconds_until_due() == 0:
            self._written_at = boot_clock()  # even if it fails: a full disk is asked again in an hour
            commit(self._path, _render(self._outcomes), 0o644)
            self._on_disk = self._last_code()

    def _note(self, code: str, sentence: str) -> None:
        if code != self._last_code():
            self._outcomes.append({"at": format_time(wall_clock()), "code": code, "sentence": sentence})
            while len(_render(self._outcomes)) > SIZE_LIMIT:
                del self._outcomes[0]

    def _last_code(self) -> str | None:
        return self._outcomes[-1].get("code") if self._outcomes else None


def _render(outcomes: list[dict[str, Any]]) -> bytes:
    return json.dumps({"version": 1, "outcomes": outcomes}, indent=1).encode() + b"\n"


def _load(path: str) -> list[dict[str, Any]]:
    """Return the outcomes on disk; a history that cannot be read is no reason not to provision."""
    try:
        outcomes = parse_object(load(path, SIZE_LIMIT) or b"{}").list("outcomes")
    except ShapeError:
        return []
    return [outcome for outcome in outcomes if _is_outcome(outcome)]


def _is_outcome(outcome: Any) -> bool:
    return isinstance(outcome, dict) and all(isinstance(outcome.get(key), str) for key in ("at", "code", "sentence"))
