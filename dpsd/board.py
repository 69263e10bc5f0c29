"""The board this runs on, as its firmware names it. Floor 2."""

from __future__ import annotations

import os

from dpsd.durable import load
from dpsd.text import printable

SERIAL_NUMBER = "/sys/firmware/devicetree/base/serial-number"
"""On a Raspberry Pi 16 hex digits from its one-time programmable memory; a PC has no device tree."""
_LIMIT = 256


def serial_number() -> str:
    """Return the board's serial number, empty where the firmware gives none."""
    found = load(SERIAL_NUMBER, _LIMIT) if os.path.exists(SERIAL_NUMBER) else None
    return printable((found or b"").rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
