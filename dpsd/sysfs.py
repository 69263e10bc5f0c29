"""What the kernel says of the hardware: one value in each file below /sys. Floor 2."""

from __future__ import annotations

from dpsd.durable import load
from dpsd.text import printable

INTERFACES = "/sys/class/net"
_LARGEST = 64 * 1024
"""Bytes: sysfs says that its files have a page, whatever is in them, and a page may be as large."""


def word(path: str) -> str:
    """Return what the file says, printable and without its end of line; empty where there is none to be read."""
    said = load(path, _LARGEST) or b""
    return printable(said.rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
