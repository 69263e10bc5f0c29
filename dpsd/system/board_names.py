"""The names of this board in its firmware, system and network, which can be part of a registration id."""

from __future__ import annotations

import array
import fcntl
import os
import re
import socket
import struct
from collections.abc import Callable

from dpsd.errors import Problem
from dpsd.system.board import INTERFACES, read_serial, read_word
from dpsd.system.machine_id import read_machine_id
from dpsd.text import printable

DEFAULT_NAMES = frozenset({"raspberrypi", "localhost", "debian", "(none)", ""})
"""Host names that all systems made from one image have."""


def read_board_name(name: str, argument: str) -> str:
    """Return the value of `{name}` or `{name:argument}`.

    Raises Problem `registration-id-unavailable` if this board has no such name, and `interface-missing` while the
    network interface is not there yet.
    """
    return _SOURCES[name](argument)


def _read_serial(_: str) -> str:
    found = read_serial()
    if not found:
        said = "{serial}: this board's firmware gives no serial number (there is no device tree)"
        raise _make_unavailable(said, "{mac:INTERFACE}, {machine_id} or {cn}")
    return found


def _read_machine_id(_: str) -> str:
    try:
        return read_machine_id()
    except ValueError as error:
        raise _make_unavailable(f"{{machine_id}}: {error}", "{serial} or {mac:INTERFACE}") from None


def _read_hostname(_: str) -> str:
    found = os.uname().nodename.partition(".")[0].lower()
    if found in DEFAULT_NAMES:
        said = f"{{hostname}}: '{printable(found)}' is what every new system is called"
        hint = "name the board, then restart dpsd: hostnamectl hostname NAME; or use {serial} instead"
        raise Problem("registration-id-unavailable", said, hint=hint)
    return found


def _read_mac(argument: str) -> str:
    """Return the hardware address of an interface, without colons. argument: its name; empty for the only one."""
    interface = argument or _find_only_interface()
    if not has_interface(interface):
        raise Problem("interface-missing", f"there is no network interface {printable(interface)}")
    address = read_hardware_address(interface)
    if address is None:
        said = f"{{mac}}: {printable(interface)} has no hardware address that survives a reboot"
        raise _make_unavailable(said, "{mac:INTERFACE} of another interface, or {serial}")
    return address


def _find_only_interface() -> str:
    found = list_hardware_interfaces()
    if not found:
        raise Problem("interface-missing", "there is no network interface yet")
    if len(found) > 1:  # not the first one, since that may be another at the next boot
        said = f"{{mac}}: there are several network interfaces: {printable(' '.join(found))}"
        raise _make_unavailable(said, f"{{mac:{printable(found[0])}}}")
    return found[0]


def _make_unavailable(sentence: str, instead: str) -> Problem:
    return Problem("registration-id-unavailable", sentence, hint=f"use {instead} in dps.registration_id instead")


_SOURCES: dict[str, Callable[[str], str]] = {
    "serial": _read_serial,
    "machine_id": _read_machine_id,
    "hostname": _read_hostname,
    "mac": _read_mac,
}


_SIOCETHTOOL = 0x8946
_GET_PERMANENT = 0x20
_NAME_AND_POINTER = "16sP16x"
"""struct ifreq, in the largest form that an architecture has."""
_LASTING = frozenset({"0", "3"})
"""Values of addr_assign_type: the hardware's, or set by somebody; others are random or another interface's."""


def list_hardware_interfaces() -> list[str]:
    """Return the names of the network interfaces that are hardware."""
    try:
        return sorted(name for name in os.listdir(INTERFACES) if os.path.exists(f"{INTERFACES}/{name}/device"))
    except OSError:
        return []


def has_interface(interface: str) -> bool:
    """Tell whether there is a network interface of this name."""
    return os.path.exists(f"{INTERFACES}/{interface}/address")


def read_hardware_address(interface: str) -> str | None:
    """Return 12 lower-case hex digits; None for an interface without an address that survives a reboot."""
    # The driver's first: sysfs shows the address of the moment, and NetworkManager scans for Wi-Fi under random ones.
    return _read_permanent_address(interface) or _read_given_address(interface)


def _read_permanent_address(interface: str) -> str | None:
    """Return the driver's permanent address (ETHTOOL_GPERMADDR); None for an interface without hardware."""
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


def _read_given_address(interface: str) -> str | None:
    address = read_word(f"{INTERFACES}/{interface}/address").replace(":", "").lower()
    lasting = read_word(f"{INTERFACES}/{interface}/addr_assign_type") in _LASTING
    return address if lasting and re.fullmatch("(?!0{12})[0-9a-f]{12}", address) else None
