"""Lines for people, on standard error. Floor 2.

Under systemd each line starts with its priority, which journald takes off; nothing that came from outside can fake one.
"""

from __future__ import annotations

import os
import sys

from dpsd.text import printable

WARNING, NOTICE, INFO = 4, 5, 6
_LIMIT = 1000


def log(priority: int, text: str) -> None:
    """Write one line; a reader that went away is no reason to stop."""
    if sys.stderr is None:
        return
    prefix = f"<{priority}>" if "JOURNAL_STREAM" in os.environ else ""
    try:
        sys.stderr.write(f"{prefix}dpsd: {printable(text, _LIMIT)}\n")
        sys.stderr.flush()
    except OSError:
        pass
