"""The root service dpsd-keys: it answers one request on its standard input, a socket, and ends.

systemd starts one for each connection, in a sandbox: only this process reaches the firmware's device and the secrets of
the key sources. It creates, writes and logs nothing.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import struct
import sys

from dpsd.configuration.settings import FIRMWARE_COMMAND
from dpsd.errors import Problem, ProtocolError
from dpsd.keys.firmware import FirmwareKey
from dpsd.keys.request import REQUEST_LIMIT, Derive, Sign, encode_refusal, encode_reply, parse_request
from dpsd.keys.sources import derive_secret
from dpsd.state.places import KEYS_DIRECTORY
from dpsd.system.process import forbid_core_dumps

USER = "dpsd"
TIME_LIMIT = 25
"""Seconds of a whole conversation."""
_CREDENTIALS = struct.Struct("3i")


def main() -> int:
    """Answer one request; return the exit status."""
    signal.alarm(TIME_LIMIT)
    forbid_core_dumps()
    with socket.socket(fileno=os.dup(0)) as connection:
        reply = _make_reply(connection)
        with contextlib.suppress(OSError):  # an attempt that has ended meanwhile reads no reply
            connection.send(reply)
    return 0


def _make_reply(connection: socket.socket) -> bytes:
    try:
        check_caller(connection)
        return answer_request(parse_request(connection.recv(REQUEST_LIMIT + 1)))
    except ProtocolError as error:
        return encode_refusal(Problem("not-permitted", f"dpsd-keys: {error}"))
    except Problem as problem:
        return encode_refusal(problem)


def check_caller(connection: socket.socket) -> None:
    """Raise Problem `not-permitted` unless the kernel says that root or the daemon's user connected."""
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(said)
    if user not in (0, _find_daemon_user()):
        raise Problem("not-permitted", f"dpsd-keys answers root and the user {USER}, not user {user}")


def answer_request(request: Derive | Sign) -> bytes:
    """Return the reply's packet; raises Problem `key-source-*`, `firmware-*`."""
    if isinstance(request, Derive):
        return encode_reply(*derive_secret(request.source, request.salt, KEYS_DIRECTORY))
    return encode_reply(FirmwareKey(FIRMWARE_COMMAND, request.key_id).sign(request.message))


def _find_daemon_user() -> int | None:
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        return None


if __name__ == "__main__":
    sys.exit(main())
