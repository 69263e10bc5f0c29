"""Nothing of a process's memory is written down when it crashes. Floor 2.

Two locks, because neither is whole (core(5), prctl(2), decision 0021). The limit goes on to programs that are started,
and a program that the kernel pipes core dumps to is free to ignore it. A process that cannot be dumped is dumped to
nobody, and its /proc/PID is root's; but it can be again after it starts another program or changes its user.
"""

from __future__ import annotations

import resource

_PR_SET_DUMPABLE = 4


def forbid_core_files() -> None:
    """Let neither this process nor one that it starts leave a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def keep_memory_private() -> None:
    """Make this process one that cannot be dumped; called before each secret that comes in."""
    import ctypes  # which the resident daemon does without

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
