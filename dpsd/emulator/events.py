"""The event log: one JSON object for each thing that happened, on a stream and in memory.

Whatever came from outside is shown by `dpsd.text.printable`. Passwords, tokens, keys and the payload of a custom
allocation never get here.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

from dpsd.emulator.world import timestamp
from dpsd.text import printable

KEPT = 10_000
"""Events remembered for tests in the same process."""


class EventLog:
    """`write` events; `lines` holds the last ones. stream: None for memory only."""

    def __init__(self, stream: TextIO | None, clock: Callable[[], float]) -> None:
        self.lines: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._stream = stream
        self._clock = clock

    def write(self, event: str, **fields: Any) -> None:
        line = {
            "event": event,
            "time": timestamp(self._clock()),
            **{key: _shown(v) for key, v in fields.items()},
        }
        self.lines.append(line)
        if self._stream is not None:
            try:
                print(json.dumps(line), file=self._stream, flush=True)
            except OSError:
                self._stream = None  # Nobody reads any more; the service goes on.


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {printable(key): _shown(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(member) for member in value]
    return printable(value)
