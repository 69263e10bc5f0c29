"""The attempt's process, as the supervisor sees it. spawned, read, killed; nothing is decided here.

A fresh process for each attempt ends every leak, hang and stale session with it.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import sys
import time

from dpsd.errors import Problem
from dpsd.shape import ShapeError
from dpsd.state.messages import Done, Event, Failed, Step, parse_event
from dpsd.state.record import Record

ATTEMPT_LIMIT = 300
"""Seconds until an attempt is killed."""
_CHUNK = 64 * 1024
_LINE_LIMIT = 1 << 20
"""Bytes; a record with the largest configuration, chain and payload stays far below."""


class Worker:
    """One running attempt.

    descriptor: readable when there is something to `take`. deadline: when it is to be ended, in seconds of the
    monotonic clock.
    """

    def __init__(self, arguments: list[str], selector: selectors.BaseSelector) -> None:
        """Start `dpsd attempt` in the way this process was started; raises OSError."""
        self.descriptor, writing = os.pipe()
        try:
            self._pid = os.posix_spawn(
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
        self.deadline = time.monotonic() + ATTEMPT_LIMIT
        self._selector = selector
        self._selector.register(self.descriptor, selectors.EVENT_READ)
        self._rest = b""
        self._step = "starting"
        self._said: Done | Failed | None = None
        self._fell_silent = False
        self._exit_status: int | None = None

    def take(self) -> list[Event] | None:
        """Return the events that have arrived, None at the end: there is an `outcome` then."""
        try:
            events = self._read()
        except ShapeError as error:
            self._said = Failed(Problem("worker-failed", f"the attempt said something odd: {error}"))
            return None
        self._fell_silent = events is None
        for event in events or ():
            if isinstance(event, Step):
                self._step = event.text
            elif isinstance(event, Done | Failed):
                self._said = event
        return events

    def outcome(self) -> Record:
        """Return the record that it made; raises what went wrong. One that has not said so much is ended for that."""
        if isinstance(self._said, Done):
            return self._said.record
        if self._said is not None:
            raise self._said.problem
        if not self._fell_silent:
            self.end()
            raise Problem("attempt-deadline", f"the attempt was stopped after {ATTEMPT_LIMIT} s while {self._step}")
        exit_status = self.end(grace=1)
        how = f"signal {-exit_status}" if exit_status < 0 else f"status {exit_status}"
        raise Problem("worker-failed", f"the attempt ended with {how} while {self._step}")

    def end(self, grace: float = 0) -> int:
        """Wait `grace` seconds for the process to end, then kill it; return its exit status, negative for a signal."""
        if self._exit_status is None:
            self._selector.unregister(self.descriptor)
            os.close(self.descriptor)
            self._exit_status = _end(self._pid, grace)
        return self._exit_status

    def _read(self) -> list[Event] | None:
        chunk = os.read(self.descriptor, _CHUNK)
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[-_LINE_LIMIT:]
        return [parse_event(line) for line in lines]


def _end(pid: int, grace: float) -> int:
    process = os.pidfd_open(pid)
    ended, _, _ = select.select([process], [], [], grace)
    os.close(process)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _own_command() -> list[str]:
    """Return how this process was started, without its arguments: `python3 -I /usr/bin/dpsd`, or with -m."""
    original = sys.orig_argv
    return original[: len(original) - len(sys.argv) + 1]
