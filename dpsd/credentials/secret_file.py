"""Opening a file that holds a secret.

Opened once, never through a link, and judged by its descriptor: a regular file with one name, of root or of the user
dpsd runs as, readable by nobody else but the group dpsd. The rule is "nothing wider", not an exact mode.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import shlex
import stat
from collections.abc import Iterator

from dpsd.errors import Problem
from dpsd.text import printable

GROUP = "dpsd"
SERVICE_CREDENTIALS = "/run/credentials/dpsd.service"
"""Below /run/credentials only root makes folders; this one is there while the service runs."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_ACL = "system.posix_acl_access"


@contextlib.contextmanager
def open_secret(path: str, limit: int) -> Iterator[int]:
    """Open a secret file of at most `limit` bytes and give its descriptor.

    Raises Problem `credential-missing` or `credential-insecure`; the hint is the command that repairs it.
    """
    descriptor = _open(path)
    try:
        _check(path, descriptor, limit)
        yield descriptor
    finally:
        os.close(descriptor)


def load_secret(path: str, limit: int) -> bytes:
    """Return the file's bytes; raises as `open_secret`."""
    with open_secret(path, limit) as descriptor:
        return os.pread(descriptor, limit, 0)


def _open(path: str) -> int:
    shown, name = printable(path), _quoted(path)
    try:
        return os.open(path, _OPEN)
    except FileNotFoundError:
        raise Problem("credential-missing", f"{shown} does not exist") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _insecure(path, "is a link", f'mv --no-target-directory "$(realpath {name})" {name}') from None
        if error.errno == errno.EACCES:
            raise _insecure(path, "cannot be read by the user dpsd runs as", _repair(name)) from None
        raise Problem("credential-missing", f"{shown} cannot be opened: {error.strerror}") from None


def _check(path: str, descriptor: int, limit: int) -> None:
    found = os.fstat(descriptor)
    mode, shown, name = stat.S_IMODE(found.st_mode), printable(path), _quoted(path)
    if not stat.S_ISREG(found.st_mode):
        raise _insecure(path, "is not a regular file", f"mv {name} {name}.old, then put the key in place as a file")
    if found.st_nlink != 1:
        copy = f"cp --preserve {name} {name}.new && mv {name}.new {name}"
        raise _insecure(path, f"has {found.st_nlink} names (hard links)", copy)
    if found.st_size > limit:
        raise Problem("credential-invalid", f"{shown} has {found.st_size} bytes, {limit} are allowed")
    if _is_systemds(path):
        return
    if found.st_uid not in (0, os.geteuid()):
        raise _insecure(path, f"belongs to user {found.st_uid}", _repair(name))
    wider = mode & 0o077
    if wider and not (wider == stat.S_IRGRP and found.st_gid == _group_id()):
        raise _insecure(path, f"may be read or written by more than its owner (mode {mode:04o})", _repair(name))
    if _ACL in _attributes(descriptor):
        raise _insecure(path, "has an access control list", f"setfacl --remove-all {name}")


def credentials_folder() -> str:
    """Return where systemd puts what it hands to the service; outside the service where dpsd.service has it."""
    return os.environ.get("CREDENTIALS_DIRECTORY") or SERVICE_CREDENTIALS


def _is_systemds(path: str) -> bool:
    """Tell whether systemd made this file for the service alone, with its own owner, mode and access list."""
    return os.path.dirname(path) == credentials_folder()


def _insecure(path: str, found: str, repair: str) -> Problem:
    return Problem("credential-insecure", f"{printable(path)} {found}", hint=repair)


def _repair(name: str) -> str:
    if _group_id() is None:
        return f"chown {os.geteuid()} {name} && chmod 0600 {name}"
    return f"chown root:{GROUP} {name} && chmod 0640 {name}"


def _quoted(path: str) -> str:
    return shlex.quote(printable(path))


def _group_id() -> int | None:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def _attributes(descriptor: int) -> list[str]:
    try:
        return os.listxattr(descriptor)
    except OSError:
        return []
