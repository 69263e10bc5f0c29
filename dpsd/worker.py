"""The attempt's process, as the supervisor sees it. Floor 2: spawned, read, killed; nothing is decided here.

A fresh process for each attempt ends every leak, hang and stale session with it.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from dpsd.progress import Event, parse_event

_CHUNK = 64 * 1024
_LINE_LIMIT = 1 << 20
"""Bytes; a record with the largest configuration, chain and payload stays far below."""


class Worker:
    """One running attempt. descriptor: readable when there is something to `read`."""

    def __init__(self, arguments: list[str]) -> None:
        """Start `dpsd attempt` in the way this process was started; raises OSError."""
        self.descriptor, writing = os.pipe()
        self._rest = b""
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [*_own_command(), *arguments],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writing, 1)],
                setsigdef=[signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1],
                setsigmask=[],
            )
        except OSError:
            os.close(self.descriptor)
            raise
        finally:
            os.close(writing)

    def read(self) -> list[Event] | None:
        """Return the events that have arrived, None at the end; raises ShapeError for a line that is none."""
        chunk = os.read(self.descriptor, _CHUNK)
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[-_LINE_LIMIT:]
        return [parse_event(line) for line in lines]

    def end(self, grace: float = 0) -> int:
        """Wait `grace` seconds for the process to end, then kill it; return its exit status, negative for a signal."""
        os.close(self.descriptor)
        process = os.pidfd_open(self.pid)
        ended, _, _ = select.select([process], [], [], grace)
        os.close(process)
        if not ended:
            os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _own_command() -> list[str]:
    """Return how this process was started, without its arguments: `python3 -I /usr/bin/dpsd`, or with -m."""
    original = sys.orig_argv
    return original[: len(original) - len(sys.argv) + 1]
