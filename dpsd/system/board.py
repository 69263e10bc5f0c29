"""The board this runs on, as its firmware names it."""

from __future__ import annotations

import os

from dpsd.state.record import Details
from dpsd.system.files import load
from dpsd.text import printable

SERIAL_NUMBER = "/sys/firmware/devicetree/base/serial-number"
"""On a Raspberry Pi 16 hex digits from its one-time programmable memory; a PC has no device tree."""
MODEL = "/sys/firmware/devicetree/base/model"
RPI_MACHINE_ID = "/sys/firmware/devicetree/base/chosen/rpi-machine-id"
"""Given by the bootloader of a Raspberry Pi 4 or 5 from 2025-12-08 on."""
BLOCK_DEVICES = "/sys/dev/block"


def read_serial() -> str:
    """Return the board's serial number, empty where the firmware gives none."""
    return read_word(SERIAL_NUMBER)


def read_board_details(folder: str) -> Details:
    """Return what else tells this board and its card apart. folder: one that is on the card."""
    return Details(read_word(MODEL), read_word(RPI_MACHINE_ID), _read_card_id(folder) or _read_card_id("/"))


def _read_card_id(folder: str) -> str:
    """Return the CID of the card that a folder is on, empty where it is on none.

    A partition's folder is inside of its disk's, and that has a link to the card.
    """
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return ""
    place = os.path.realpath(f"{BLOCK_DEVICES}/{os.major(device)}:{os.minor(device)}")
    return read_word(f"{place}/device/cid") or read_word(f"{os.path.dirname(place)}/device/cid")


INTERFACES = "/sys/class/net"
_LARGEST = 64 * 1024
"""Bytes: sysfs says that its files have a page, whatever is in them, and a page may be as large."""


def read_word(path: str) -> str:
    """Return what the file says, printable and without its end of line; empty where there is none to be read."""
    said = load(path, _LARGEST) or b""
    return printable(said.rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
