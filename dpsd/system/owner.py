"""Acting as the owner of the state directory.

What root does by hand must leave files that the daemon can read and replace. It must also meet the permissions that the
daemon meets, so that "it works in the foreground" means something.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Callable, Iterator

from dpsd.state.places import State
from dpsd.system.process import run_in_child


def become_owner(state: State) -> None:
    """Become the state directory's owner for good, if this is root and the directory exists."""
    if os.geteuid() != 0:
        return
    try:
        owner = os.stat(state)
    except OSError:
        return
    if owner.st_uid != 0:
        os.setgroups(_find_groups(owner.st_uid, owner.st_gid))
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


@contextlib.contextmanager
def as_owner(state: State) -> Iterator[None]:
    """Act as the state directory's owner in the `with` block, if this is root and the directory exists."""
    try:
        owner = os.stat(state)
    except OSError:
        owner = None
    if owner is None or os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups(_find_groups(owner.st_uid, owner.st_gid))
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def run_as_owner(state: State, task: Callable[[], bytes]) -> bytes:
    """Run `task` in a child that becomes the state directory's owner for good.

    Return what the task returns, empty if it fails.
    """

    def task_as_owner() -> bytes:
        become_owner(state)
        return task()

    return run_in_child(task_as_owner)


def is_owner(state: State) -> bool:
    """Tell whether this process is root or the state directory's owner."""
    try:
        return os.geteuid() in (0, os.stat(state).st_uid)
    except OSError:
        return os.geteuid() == 0


def _find_groups(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]
