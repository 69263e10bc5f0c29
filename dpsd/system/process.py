"""Settings of this process, and children: no core dumps, and a child for one task."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import NoReturn

# No core file is that small, so that none is written. If core dumps are piped to a program, which ignores a limit of 0,
# the kernel takes this very limit for "none": do_coredump in fs/coredump.c of Linux.
NO_DUMP = 1
"""Bytes."""


def forbid_core_dumps() -> None:
    """Forbid core dumps of this process and of those that it starts, to a file or to a program."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 0 if hard == 0 else NO_DUMP
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def run_in_child(task: Callable[[], bytes]) -> bytes:
    """Run `task` in a child process; return what the task returns, empty if it fails."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _run_and_exit(task, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            return pipe.read()
    finally:
        os.waitpid(child, 0)


def _run_and_exit(task: Callable[[], bytes], writing: int) -> NoReturn:
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(task())
        os._exit(0)
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException:
        import traceback  # not for the resident daemon, which must stay small

        traceback.print_exc()
        os._exit(1)
