"""Waiting for a token's device: one that is there, one that comes, one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from dpsd.credentials.token_device import await_device
from tests.unit.examples import CHECKOUT, problem_of

ANNOUNCE = """if True:
    import socket, struct, sys, threading, time
    from dpsd.credentials.token_device import await_device
    def announce():
        fields = "ACTION=add", "DEVPATH=/devices/virtual/tty/ttyS77", "SUBSYSTEM=tty", "DEVNAME=/dev/ttyS77"
        body = b"".join(field.encode() + bytes(1) for field in (*fields, "SEQNUM=7", "DEVLINKS=/dev/token"))
        # A message of udevd: its name, a magic number, sizes of header and body, and hashes that filters look at.
        head = struct.pack("8sI7I", b"libudev", socket.htonl(0xFEEDCAFE), 40, 40, len(body), 0, 0, 0, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) as udevd:
            udevd.bind((0, 0))
            udevd.sendto(head + body, (0, 2))
    def plug():
        time.sleep(0.3)
        announce()
    threading.Thread(target=plug).start()
    await_device(sys.argv[1], 20)
"""

# libudev listens to udevd only where this shows that there is one, or where /dev is the kernel's own.
UDEVD_IS_THERE = 'mount -t tmpfs tmpfs /run && mkdir /run/udev && : >/run/udev/control && exec "$0" "$@"'


def test_a_device_that_is_there_is_not_waited_for() -> None:
    await_device("/dev/null", 0)


def test_a_device_that_does_not_come_is_missed() -> None:
    problem = problem_of("token-missing", lambda: await_device("/dev/no-such-token", 0.1))
    assert problem.sentence == "there is no device /dev/no-such-token"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may speak as udevd")
@pytest.mark.parametrize("path", ["/dev/ttyS77", "/dev/token"])
def test_a_device_that_comes_ends_the_wait(path: str) -> None:
    begun = time.monotonic()
    command = ["unshare", "--net", "--mount", "sh", "-c", UDEVD_IS_THERE, sys.executable, "-c", ANNOUNCE, path]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=60)
    assert time.monotonic() - begun < 20
