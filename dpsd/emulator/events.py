"""The event log: a JSON object for each thing that happens, on a stream and in memory.

Text from outside is made printable. Passwords, tokens, keys and the payload of a custom allocation are never logged.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

from dpsd.emulator.world import format_timestamp
from dpsd.text import printable

KEPT = 10_000
"""Events kept in memory, for tests in the same process."""


class EventLog:
    """Writes events; the last ones are in `lines`. stream: None for memory only. clock: returns seconds since 1970."""

    def __init__(self, stream: TextIO | None, clock: Callable[[], float]) -> None:
        self.lines: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._stream = stream
        self._clock = clock

    def write(self, event: str, **fields: Any) -> None:
        """Log an event with its fields and the time."""
        line = {
            "event": event,
            "time": format_timestamp(self._clock()),
            **{key: _make_printable(v) for key, v in fields.items()},
        }
        self.lines.append(line)
        if self._stream is not None:
            try:
                print(json.dumps(line), file=self._stream, flush=True)
            except OSError:
                self._stream = None  # Nobody reads it any more; the emulator goes on.


def _make_printable(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {printable(key): _make_printable(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_make_printable(member) for member in value]
    return printable(value)
