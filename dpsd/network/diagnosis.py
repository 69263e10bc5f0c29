"""What an error of a connection means, and the state of the board's own end of the network, which can explain it.

The kernel's tables answer; nothing is sent.
"""

from __future__ import annotations

import errno
import os
import socket

from dpsd.errors import Problem
from dpsd.protocol.identifiers import Endpoint
from dpsd.system.board import INTERFACES, read_word

RADIOS = "/sys/class/rfkill"
_UP, _LOOPBACK = 0x1, 0x8
"""Bits of an interface's flags, from netdevice(7)."""
# Addresses for documentation (RFC 5737, RFC 3849): only a default route leads to them.
_WORLD = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def check_interface(interfaces: str = INTERFACES, radios: str = RADIOS) -> None:
    """Raise Problem `no-interface` or `radio-blocked` unless an interface besides lo is up.

    interfaces, radios: the kernel's folders, others in tests.
    """
    names = _list_names(interfaces)
    if not names or any(_is_up(f"{interfaces}/{name}") for name in names):
        return
    if any(_is_blocked(f"{radios}/{name}") for name in _list_names(radios)):
        raise Problem("radio-blocked", "no network interface is up, and the radio is blocked")
    raise Problem("no-interface", "no network interface is up")


def check_routes() -> None:
    """Raise Problem `no-route` unless a default route exists, for IPv4 or IPv6."""
    if not has_route(socket.AF_INET) and not has_route(socket.AF_INET6):
        raise Problem("no-route", "no route leads out of this board")


def has_route(family: int) -> bool:
    """Tell whether there is a default route for this address family."""
    try:  # connecting a datagram socket sends nothing
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_WORLD[socket.AddressFamily(family)], 9))
    except OSError:
        return False
    return True


def _is_up(interface: str) -> bool:
    """Tell whether packets can pass an interface."""
    try:
        flags = int(read_word(f"{interface}/flags") or "0", 16)
    except ValueError:
        return False
    # Tunnels and modems have the state `unknown`.
    return bool(flags & _UP) and not flags & _LOOPBACK and read_word(f"{interface}/operstate") in ("up", "unknown")


def _is_blocked(radio: str) -> bool:
    is_radio = read_word(f"{radio}/type") in ("wlan", "wwan")
    return is_radio and "1" in (read_word(f"{radio}/soft"), read_word(f"{radio}/hard"))


def _list_names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def make_connection_problem(endpoint: Endpoint, error: OSError) -> Problem:
    """Return the Problem for an error of a TCP connection."""
    if isinstance(error, TimeoutError):
        return Problem("no-answer", f"{endpoint} does not answer")
    if isinstance(error, ConnectionRefusedError):
        return Problem("connection-refused", f"{endpoint} refuses the connection")
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return Problem("connection-lost", f"{endpoint} closed the connection")
    what = error.strerror or errno.errorcode.get(error.errno or 0, type(error).__name__)
    return Problem("connection-failed", f"cannot connect to {endpoint}: {what}")
