"""Lines for people: in the journal with fields to search by, otherwise on standard error.

If standard error is the journal, all lines go there by its own protocol, so that they keep their order; source:
https://systemd.io/JOURNAL_NATIVE_PROTOCOL. A problem's line carries its code, its hint, and the id by which
`journalctl -x` finds its meaning in the catalog. Text from outside cannot fake a line, a field or a priority.
"""

from __future__ import annotations

import binascii
import os
import socket
import sys

from dpsd.errors import Problem
from dpsd.text import printable

WARNING, NOTICE, INFO = 4, 5, 6
SOCKET = "/run/systemd/journal/socket"
SEND_LIMIT = 0.2
"""Seconds to wait for a journal that does not read."""
_LIMIT = 1000
_MESSAGE_IDS = "bd57fb3d2f52456f8bee2ef7"
"""The random beginning of all ids of dpsd's messages; the rest is the code's checksum."""


def log(priority: int, text: str, **fields: str) -> None:
    """Write one line, or nothing if its reader has gone. fields: more of them, for the journal only."""
    line = printable(text, _LIMIT)
    if not is_journal():
        _print(f"dpsd: {line}")
    elif not _send({"MESSAGE": line, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "dpsd", **fields}):
        _print(f"<{priority}>{line}")  # journald takes the priority off again


def log_problem(problem: Problem) -> None:
    """Write each sentence of a problem and its hint; `journalctl -x` explains the first line."""
    known = {"MESSAGE_ID": message_id(problem.code), "DPSD_HINT": problem.hint}
    log(WARNING, str(problem), DPSD_CODE=problem.code, **known)
    for sentence in problem.also:
        log(WARNING, f"{problem.code}: {sentence}", DPSD_CODE=problem.code)
    log(WARNING, f"hint: {problem.hint}", DPSD_CODE=problem.code)


def message_id(code: str) -> str:
    """Return the journal's id for problems with this code, 128 bits in hexadecimal."""
    return f"{_MESSAGE_IDS}{binascii.crc32(code.encode()):08x}"


def is_journal() -> bool:
    """Tell whether standard error is the journal: a shell may inherit JOURNAL_STREAM and write elsewhere."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _send(fields: dict[str, str]) -> bool:
    entry = "".join(f"{name}={printable(value, _LIMIT)}\n" for name, value in fields.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.settimeout(SEND_LIMIT)
            journal.sendto(entry.encode(), SOCKET)
    except OSError:
        return False
    return True


def _print(line: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        pass
