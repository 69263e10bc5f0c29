"""Who has connected to a door: user, groups and unit, as the kernel says, and whether `[doors]` lets that peer pass.

The kernel keeps user, group and process id of the moment of the connection (unix(7), SO_PEERCRED). The unit is read
from the process's cgroup, which only systemd and root write outside of what a unit was delegated.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import select
import socket
import struct
from typing import NamedTuple

from dpsd.configuration.settings import Doors
from dpsd.errors import Problem

SO_PEERGROUPS, SO_PEERPIDFD = 59, 77
"""Of Linux (asm-generic/socket.h); Python has no names for them. SO_PEERPIDFD came with Linux 6.5."""
_CREDENTIALS = struct.Struct("iII")
_GROUPS_SIZE = 1024
"""Bytes, the most that Python asks the kernel for: 256 groups."""
_START_TIME = 19
"""The place of starttime in /proc/PID/stat, counted behind the command's name (proc_pid_stat(5), field 22)."""


class Peer(NamedTuple):
    """Who has connected. groups: ids, the primary one among them. unit: the system service, empty where it is none."""

    pid: int
    uid: int
    groups: frozenset[int]
    unit: str = ""

    def __str__(self) -> str:
        """Return what a line for people says."""
        return f"uid {self.uid}, {self.unit or 'no service'}"


def peer_of(connection: socket.socket, proc: str = "/proc") -> Peer:
    """Return who is at the other end of an accepted unix socket; raises OSError where the kernel cannot say.

    proc: where the kernel tells about processes, for tests.
    """
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid, frozenset({gid, *_groups(connection)}), _unit(connection, f"{proc}/{pid}", uid))


def check_allowed(peer: Peer, doors: Doors) -> None:
    """Raise Problem `door-refused` unless root asks, `[doors]` is empty, or any of its entries fits the peer."""
    if not is_allowed(peer, doors):
        raise Problem("door-refused", f"[doors] of the configuration does not let {peer} pass")


def is_allowed(peer: Peer, doors: Doors) -> bool:
    """Tell whether the peer may use the doors; the mode of the socket has let it connect already."""
    if peer.uid == 0 or not any(doors):
        return True
    return peer.unit in doors.units or _has_user(peer, doors.users) or _has_group(peer, doors.groups)


def unit_of(cgroup: str) -> str:
    """Return the system service that the text of /proc/PID/cgroup names, empty where it names none.

    That is the component right below system.slice and its sub-slices, if it ends in `.service`: what is deeper, and
    what is below another slice or a container's scope, is named by others than systemd.
    """
    root, *components = _path(cgroup).split("/")[1:] or [""]
    while components and components[0].startswith("system-") and components[0].endswith(".slice"):
        components = components[1:]
    if root != "system.slice" or not components or not components[0].endswith(".service"):
        return ""
    return components[0].removeprefix("_")  # systemd's escape of names that the kernel has in the same folder


def _path(cgroup: str) -> str:
    """Return the path in the hierarchy of version 2, or in that of systemd where the other has no folders."""
    paths = {
        name: path for _, name, path in (line.split(":", 2) for line in cgroup.splitlines() if line.count(":") > 1)
    }
    unified = paths.get("", "/")
    return paths.get("name=systemd", "") if unified == "/" else unified


def _groups(connection: socket.socket) -> tuple[int, ...]:
    try:
        said = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _GROUPS_SIZE)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        return ()  # more groups than can be asked for: the primary one has to do
    return struct.unpack(f"{len(said) // 4}I", said)


def _unit(connection: socket.socket, folder: str, uid: int) -> str:
    """Return the peer's unit, empty where the process is not there any more: its id may be another's by now."""
    try:
        process = _process(connection)
        return _unit_by_start_time(folder, uid) if process is None else _unit_of_process(process, folder)
    except (OSError, ValueError, IndexError):
        return ""


def _process(connection: socket.socket) -> int | None:
    """Return a descriptor of the peer's process itself; None where the kernel is too old to give one."""
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return None
        raise


def _unit_of_process(process: int, folder: str) -> str:
    """Read, and then see that the process still lives, so that the folder is its own."""
    try:
        unit = unit_of(_read(f"{folder}/cgroup"))
        poll = select.poll()
        poll.register(process, select.POLLIN)
        return "" if poll.poll(0) else unit  # readable: the process has ended
    finally:
        os.close(process)


def _unit_by_start_time(folder: str, uid: int) -> str:
    """Read between two looks at the start time, so that all is of one process, and that of the same user."""
    before, unit = _start_time(folder), unit_of(_read(f"{folder}/cgroup"))
    same = before == _start_time(folder) and os.stat(folder).st_uid == uid
    return unit if same else ""


def _start_time(folder: str) -> str:
    return _read(f"{folder}/stat").rpartition(")")[2].split()[_START_TIME]


def _read(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read()


def _has_user(peer: Peer, names: tuple[str, ...]) -> bool:
    return any(_id_of_user(name) == peer.uid for name in names)


def _has_group(peer: Peer, names: tuple[str, ...]) -> bool:
    return any(_id_of_group(name) in peer.groups for name in names)


def _id_of_user(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _id_of_group(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
