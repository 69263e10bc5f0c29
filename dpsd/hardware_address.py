"""The hardware address of a network interface. Floor 2.

The permanent one where the driver knows it: NetworkManager lets Wi-Fi search under random addresses, and sysfs shows
the address of the moment.
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import socket
import struct

from dpsd.sysfs import INTERFACES, word

_SIOCETHTOOL = 0x8946
_GET_PERMANENT = 0x20
_NAME_AND_POINTER = "16sP16x"
"""struct ifreq, as large as on any architecture."""
_LASTING = frozenset({"0", "3"})
"""addr_assign_type: of the hardware, or set by somebody; the others are random or of another interface."""


def hardware_interfaces() -> list[str]:
    """Return the names of the interfaces that are a piece of hardware."""
    try:
        return sorted(name for name in os.listdir(INTERFACES) if os.path.exists(f"{INTERFACES}/{name}/device"))
    except OSError:
        return []


def is_there(interface: str) -> bool:
    """Tell whether there is an interface of this name."""
    return os.path.exists(f"{INTERFACES}/{interface}/address")


def hardware_address(interface: str) -> str | None:
    """Return 12 lower-case hex digits; None for an interface without an address that outlasts a reboot."""
    return _permanent_address(interface) or _given_address(interface)


def _permanent_address(interface: str) -> str | None:
    """Ask the driver (ETHTOOL_GPERMADDR); an interface without hardware has zeros."""
    reply = array.array("B", struct.pack("II32x", _GET_PERMANENT, 32))
    request = struct.pack(_NAME_AND_POINTER, os.fsencode(interface), reply.buffer_info()[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            fcntl.ioctl(asked, _SIOCETHTOOL, request)
    except OSError:
        return None
    _, size = struct.unpack_from("II", reply)
    address = bytes(reply[8 : 8 + size])
    return address.hex() if size == 6 and any(address) else None


def _given_address(interface: str) -> str | None:
    address = word(f"{INTERFACES}/{interface}/address").replace(":", "").lower()
    lasting = word(f"{INTERFACES}/{interface}/addr_assign_type") in _LASTING
    return address if lasting and re.fullmatch("(?!0{12})[0-9a-f]{12}", address) else None
