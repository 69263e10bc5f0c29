"""The board, as its firmware and its card describe it."""

from __future__ import annotations

import os

from dpsd.state.record import Details
from dpsd.system.files import load
from dpsd.text import printable

SERIAL_NUMBER = "/sys/firmware/devicetree/base/serial-number"
"""On a Raspberry Pi, 16 hex digits of its one-time programmable memory; a PC has no device tree."""
MODEL = "/sys/firmware/devicetree/base/model"
RPI_MACHINE_ID = "/sys/firmware/devicetree/base/chosen/rpi-machine-id"
"""Given by the bootloader of a Raspberry Pi 4 or 5 since its version of 2025-12-08."""
BLOCK_DEVICES = "/sys/dev/block"


def read_serial() -> str:
    """Return the board's serial number, empty if the firmware gives none."""
    return read_word(SERIAL_NUMBER)


def read_board_details(folder: str) -> Details:
    """Return what else distinguishes this board and its card. folder: one on the card."""
    return Details(read_word(MODEL), read_word(RPI_MACHINE_ID), _read_card_id(folder) or _read_card_id("/"))


def _read_card_id(folder: str) -> str:
    """Return the CID of the card that a folder is on, empty if it is not on a card."""
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return ""
    place = os.path.realpath(f"{BLOCK_DEVICES}/{os.major(device)}:{os.minor(device)}")
    # A disk's folder has a link to the card, and a partition's folder is inside its disk's.
    return read_word(f"{place}/device/cid") or read_word(f"{os.path.dirname(place)}/device/cid")


INTERFACES = "/sys/class/net"
# sysfs says of each file that it has a page, whatever is in it, and a page may be as large as this.
_LARGEST = 64 * 1024
"""Bytes."""


def read_word(path: str) -> str:
    """Return a file's text, printable and without its line end; empty if it cannot be read."""
    said = load(path, _LARGEST) or b""
    return printable(said.rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
