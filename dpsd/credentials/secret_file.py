"""Opening a file that holds a secret. Floor 2.

Opened once, never through a link, and judged by its descriptor: a regular file with one name, of root or of the user
dpsd runs as, readable by nobody else but the group dpsd. The rule is "nothing wider", not an exact mode.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import stat
from collections.abc import Iterator

from dpsd.errors import Problem
from dpsd.text import printable

GROUP = "dpsd"
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
    shown = printable(path)
    try:
        return os.open(path, _OPEN)
    except FileNotFoundError:
        raise Problem("credential-missing", f"{shown} does not exist") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _insecure(path, "is a link", f"mv --no-target-directory \"$(realpath {shown})\" {shown}") from None
        if error.errno == errno.EACCES:
            raise _insecure(path, "cannot be read by the user dpsd runs as", _repair(shown)) from None
        raise Problem("credential-missing", f"{shown} cannot be opened: {error.strerror}") from None


def _check(path: str, descriptor: int, limit: int) -> None:
    found = os.fstat(descriptor)
    mode, shown = stat.S_IMODE(found.st_mode), printable(path)
    if not stat.S_ISREG(found.st_mode):
        raise _insecure(path, "is not a regular file", f"rm {shown}, then put the key in place as a file")
    if found.st_nlink != 1:
        raise _insecure(path, f"has {found.st_nlink} names (hard links)", f"cp {shown} NEW && mv NEW {shown}")
    if found.st_uid not in (0, os.geteuid()):
        raise _insecure(path, f"belongs to user {found.st_uid}", _repair(shown))
    allowed = 0o740 if found.st_gid == _group_id() else 0o700
    if mode & 0o777 & ~allowed:
        raise _insecure(path, f"may be read or written by more than its owner (mode {mode:04o})", _repair(shown))
    if _ACL in _attributes(descriptor):
        raise _insecure(path, "has an access control list", f"setfacl --remove-all {shown}")
    if found.st_size > limit:
        raise Problem("credential-invalid", f"{shown} has {found.st_size} bytes, {limit} are allowed")


def _insecure(path: str, found: str, repair: str) -> Problem:
    return Problem("credential-insecure", f"{printable(path)} {found}", hint=repair)


def _repair(shown: str) -> str:
    if _group_id() is None:
        return f"chmod 0600 {shown}"
    return f"chown root:{GROUP} {shown} && chmod 0640 {shown}"


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
