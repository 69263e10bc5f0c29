"""The board this runs on, as its firmware names it. Floor 2."""

from __future__ import annotations

import os

from dpsd.durable import load
from dpsd.record import Details
from dpsd.text import printable

SERIAL_NUMBER = "/sys/firmware/devicetree/base/serial-number"
"""On a Raspberry Pi 16 hex digits from its one-time programmable memory; a PC has no device tree."""
MODEL = "/sys/firmware/devicetree/base/model"
RPI_MACHINE_ID = "/sys/firmware/devicetree/base/chosen/rpi-machine-id"
"""Given by the bootloader of a Raspberry Pi 4 or 5 from 2025-12-08 on."""
BLOCK_DEVICES = "/sys/dev/block"
_LARGEST = 4096
"""Bytes: sysfs says that its files have a page, whatever is in them."""


def serial_number() -> str:
    """Return the board's serial number, empty where the firmware gives none."""
    return _said(SERIAL_NUMBER)


def board_details(folder: str) -> Details:
    """Return what else tells this board and its card apart. folder: one that is on the card."""
    return Details(_said(MODEL), _said(RPI_MACHINE_ID), _card(folder) or _card("/"))


def _card(folder: str) -> str:
    """Return the CID of the card that a folder is on, empty where it is on none.

    A partition's folder is inside of its disk's, and that has a link to the card.
    """
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return ""
    place = os.path.realpath(f"{BLOCK_DEVICES}/{os.major(device)}:{os.minor(device)}")
    return _said(f"{place}/device/cid") or _said(f"{os.path.dirname(place)}/device/cid")


def _said(path: str) -> str:
    found = load(path, _LARGEST) if os.path.exists(path) else None
    return printable((found or b"").rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
