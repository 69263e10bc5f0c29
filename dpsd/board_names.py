"""What this board is called by its firmware, its system and its network: values for a registration id. Floor 2."""

from __future__ import annotations

import os
from collections.abc import Callable

from dpsd.board import serial_number
from dpsd.errors import Problem
from dpsd.hardware_address import hardware_address, hardware_interfaces, is_there
from dpsd.machine_id import machine_id
from dpsd.text import printable

DEFAULT_NAMES = frozenset({"raspberrypi", "localhost", "debian", "(none)", ""})
"""Host names that every image of a kind has."""


def value_of(name: str, argument: str) -> str:
    """Return what `{name}` or `{name:argument}` stands for.

    Raises Problem `registration-id-unavailable` where this board has no such name, `interface-missing` while the
    network interface is not there yet.
    """
    return _SOURCES[name](argument)


def _serial(_: str) -> str:
    found = serial_number()
    if not found:
        said = "{serial}: this board's firmware gives no serial number (there is no device tree)"
        raise _unavailable(said, "{mac:INTERFACE}, {machine_id} or {cn}")
    return found


def _machine_id(_: str) -> str:
    try:
        return machine_id()
    except ValueError as error:
        raise _unavailable(f"{{machine_id}}: {error}", "{serial} or {mac:INTERFACE}") from None


def _hostname(_: str) -> str:
    found = os.uname().nodename.partition(".")[0].lower()
    if found in DEFAULT_NAMES:
        said = f"{{hostname}}: '{printable(found)}' is what every new system is called"
        hint = "name the board, then restart dpsd: hostnamectl hostname NAME; or use {serial} instead"
        raise Problem("registration-id-unavailable", said, hint=hint)
    return found


def _mac(argument: str) -> str:
    """Return the hardware address of an interface, without colons; of the only one where none is named."""
    interface = argument or _only_interface()
    if not is_there(interface):
        raise Problem("interface-missing", f"there is no network interface {printable(interface)}")
    address = hardware_address(interface)
    if address is None:
        said = f"{{mac}}: {printable(interface)} has no hardware address that outlasts a reboot"
        raise _unavailable(said, "{mac:INTERFACE} of another one, or {serial}")
    return address


def _only_interface() -> str:
    """Which of several is there first differs from boot to boot, so that none is chosen."""
    found = hardware_interfaces()
    if not found:
        raise Problem("interface-missing", "there is no network interface yet")
    if len(found) > 1:
        said = f"{{mac}}: there are several network interfaces: {printable(' '.join(found))}"
        raise _unavailable(said, f"{{mac:{printable(found[0])}}}")
    return found[0]


def _unavailable(sentence: str, instead: str) -> Problem:
    return Problem("registration-id-unavailable", sentence, hint=f"use {instead} in dps.registration_id instead")


_SOURCES: dict[str, Callable[[str], str]] = {
    "serial": _serial,
    "machine_id": _machine_id,
    "hostname": _hostname,
    "mac": _mac,
}
