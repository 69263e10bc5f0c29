"""Waits until udev knows the device of a token. the one module that imports pyudev.

By udev and not by a look into /dev, which the daemon's sandbox hides.
"""

from __future__ import annotations

import time

import pyudev

from dpsd.errors import Problem
from dpsd.text import printable

AGAIN = 2
"""Seconds until the next attempt, which waits again."""


def await_device(path: str, seconds: float) -> None:
    """Return when there is a device with this node or link; raises Problem `token-missing` after `seconds`."""
    try:
        came = _comes(path, seconds)
    except OSError as error:
        raise Problem("token-missing", f"cannot wait for {printable(path)}: udev cannot be heard ({error})") from None
    if not came:
        raise Problem("token-missing", f"there is no device {printable(path)}", retry_after=AGAIN)


def _comes(path: str, seconds: float) -> bool:
    context = pyudev.Context()
    monitor = pyudev.Monitor.from_netlink(context)
    monitor.start()  # before the look around, so that nothing is missed between both
    if any(_is(device, path) for device in context.list_devices()):
        return True
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        device = monitor.poll(left)
        if device is not None and device.action != "remove" and _is(device, path):
            return True
    return False


def _is(device: pyudev.Device, path: str) -> bool:
    return device.device_node == path or path in device.device_links
