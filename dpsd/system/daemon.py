"""The running daemon as other processes see it: its status file, its lock, its signals."""

from __future__ import annotations

import os
import signal
from typing import Any

from dpsd.errors import Problem
from dpsd.shape import ShapeError, Table, parse_object
from dpsd.state.places import Places
from dpsd.system.files import load, lock


def load_status(places: Places) -> dict[str, Any] | None:
    """Return what status.json says, None where there is none to be read."""
    try:
        return dict(parse_object(load(places.status) or b"").values)
    except ShapeError:
        return None


def is_provisioned(places: Places) -> bool:
    """Tell whether this boot is provisioned."""
    return os.path.exists(places.provisioned)


def is_running(status: dict[str, Any] | None) -> bool:
    """Tell whether the process that wrote `status` still lives; without rights over it, that it exists is enough."""
    pid = (status or {}).get("pid")
    if not isinstance(pid, int) or pid <= 1 or (status or {}).get("state") == "stopped":
        return False
    return os.path.exists(f"/proc/{pid}")


def ask_to_register(places: Places) -> None:
    """Send SIGUSR1 to the daemon; raises Problem `not-running` or `not-permitted`."""
    _send_signal(places, signal.SIGUSR1)


def ask_to_reload(places: Places) -> None:
    """Send SIGHUP to the daemon, which reads everything again; raises as `ask_to_register`."""
    _send_signal(places, signal.SIGHUP)


def _send_signal(places: Places, number: signal.Signals) -> None:
    status = load_status(places)
    if status is None or not is_running(status) or not _lock_is_held(places):
        raise Problem("not-running", "dpsd is not running")
    try:
        os.kill(status["pid"], number)
    except ProcessLookupError:
        raise Problem("not-running", "dpsd is not running") from None
    except PermissionError:
        raise Problem("not-permitted", "only root may send the daemon a signal") from None


def _lock_is_held(places: Places) -> bool:
    """Make sure that a process id from an old status file is not somebody else's by now."""
    if not os.path.exists(places.lock):
        return not os.access(places.private, os.X_OK)
    try:
        with lock(places.lock):
            pass
    except Problem:
        return True
    return False


def read_problem(status: dict[str, Any] | None) -> Problem | None:
    """Return the problem that a status, or a part of one, tells of; None where it tells of none."""
    from dpsd.state.messages import parse_problem  # only where a problem is asked for

    try:
        found = Table(status or {}).optional_table("problem")
        return None if found is None else parse_problem(found)
    except ShapeError:
        return None
