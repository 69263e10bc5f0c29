"""Notices when a route comes up, by a netlink socket.

udev would only report a carrier, which leads nowhere yet: an attempt waits for a route. Source: rtnetlink(7).
"""

from __future__ import annotations

import socket
import sys

_GROUPS = 0x40 | 0x400
"""RTMGRP_IPV4_ROUTE and RTMGRP_IPV6_ROUTE."""
_NEW_ROUTE = 24
_HEADER, _ROUTE = 16, 12
"""Bytes of nlmsghdr and rtmsg."""
_MAIN_TABLE, _BY_THE_KERNEL, _UNICAST = 254, 2, 1
_CHUNK = 64 * 1024


class RouteWatch:
    """Watches the kernel's routes. descriptor: readable when routes have changed."""

    def __init__(self) -> None:
        """Begin to listen; raises OSError if the kernel does not allow it."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, _GROUPS))
        except OSError:
            self._socket.close()
            raise
        self.descriptor = self._socket.fileno()

    def came_up(self) -> bool:
        """Read all changes that have arrived and tell whether a usable route is new."""
        found = False
        while True:
            try:
                found = has_new_route(self._socket.recv(_CHUNK)) or found
            except BlockingIOError:
                return found
            except OSError:
                return True  # more changes arrived than the kernel keeps, so assume one

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def has_new_route(data: bytes) -> bool:
    """Tell whether netlink messages add a route that leads somewhere."""
    while len(data) >= _HEADER + _ROUTE:
        length = int.from_bytes(data[0:4], sys.byteorder)
        kind = int.from_bytes(data[4:6], sys.byteorder)
        family, table, protocol, route_type = data[16], data[20], data[21], data[23]
        # The kernel itself adds a route for each IPv6 link, which leads nowhere.
        own = family == socket.AF_INET6 and protocol == _BY_THE_KERNEL
        if kind == _NEW_ROUTE and table == _MAIN_TABLE and route_type == _UNICAST and not own:
            return True
        data = data[max(_HEADER, (length + 3) & ~3) :]
    return False
