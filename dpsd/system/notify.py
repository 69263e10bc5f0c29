"""Messages to the service manager (sd_notify). Only this module imports sdnotify.

sdnotify encodes Latin-1 and hides its errors, so that one odd character in STATUS= would lose a READY=1 in the same
datagram. So each field goes in a datagram of its own, in ASCII.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import sdnotify

from dpsd.text import printable

STATUS_LIMIT = 400
SEND_LIMIT = 0.2
"""Seconds to wait for a manager that does not read."""


class Notifier:
    """Sends messages to the service manager, if there is one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._systemd = _connect() if environment.get("NOTIFY_SOCKET") else None
        self.supervised = self._systemd is not None
        self._owes_ready = False
        self.watchdog_interval = _read_watchdog_interval(environment)

    def send_ready(self) -> None:
        """Send READY=1; if it does not get through, send it again with the next message."""
        self._owes_ready = not self._send("READY=1")

    def send_reloading(self) -> None:
        """Send RELOADING=1."""
        self._send("RELOADING=1")

    def send_stopping(self) -> None:
        """Send STOPPING=1."""
        self._send("STOPPING=1")

    def send_watchdog(self) -> None:
        """Send WATCHDOG=1."""
        self._send("WATCHDOG=1")

    def send_status(self, text: str) -> None:
        """Send STATUS= with this text, made printable."""
        self._send(f"STATUS={printable(text, STATUS_LIMIT)}")

    def _send(self, field: str) -> bool:
        """Send one field and tell whether it got through; a manager that does not read must not end the daemon."""
        if self._systemd is None:
            return True
        try:
            self._systemd.notify(field)
        except OSError:
            self._systemd = _connect() or self._systemd
            return False
        if self._owes_ready and field != "READY=1":
            self.send_ready()
        return True


def _connect() -> Any:
    """Return sdnotify's notifier, None if nobody listens, as after a shell inherited NOTIFY_SOCKET."""
    try:
        systemd = sdnotify.SystemdNotifier(debug=True)
    except OSError:
        return None
    systemd.socket.settimeout(SEND_LIMIT)
    return systemd


def _read_watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """Return the seconds between pings, half of what the unit asks for; None if it asks for none."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    meant_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    asked = int(microseconds) if microseconds.isdecimal() and meant_for_us else 0
    return asked / 2_000_000 if asked else None
