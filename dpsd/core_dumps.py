"""Nothing of a process's memory is written down when it crashes. Floor 2."""

from __future__ import annotations

import resource

NO_DUMP = 1
"""Bytes. No core file is that small, so that none is written; and where core dumps are piped to a program, which
ignores a limit of 0, the kernel takes just this one for "none": do_coredump in fs/coredump.c of Linux."""


def forbid_core_dumps() -> None:
    """Let neither this process nor one that it starts be dumped, to a file or to a program."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 0 if hard == 0 else NO_DUMP
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
