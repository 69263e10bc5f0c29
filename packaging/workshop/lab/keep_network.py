"""The process that a network namespace lives by; `network` starts it as a script of its own, inside the namespace."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys

SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def keep() -> None:
    """Bring loopback up, say so, and keep the namespace until stdin ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    print("up", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    keep()
