"""The running daemon, as other processes see it: its status file, its lock and its signals."""

from __future__ import annotations

import os
import signal
from typing import Any

from dpsd.errors import Problem
from dpsd.shape import ShapeError, Table, parse_object
from dpsd.state.places import Places, Runtime, State
from dpsd.system.files import load, lock


def load_status(runtime: Runtime) -> dict[str, Any] | None:
    """Return the contents of status.json, None if it cannot be read."""
    try:
        return dict(parse_object(load(runtime.status) or b"").values)
    except ShapeError:
        return None


def is_provisioned(runtime: Runtime) -> bool:
    """Tell whether the device is provisioned in this boot."""
    return os.path.exists(runtime.provisioned)


def is_running(status: dict[str, Any] | None) -> bool:
    """Tell whether the process that wrote `status` still exists, whoever's it is."""
    pid = (status or {}).get("pid")
    if not isinstance(pid, int) or pid <= 1 or (status or {}).get("state") == "stopped":
        return False
    return os.path.exists(f"/proc/{pid}")


def ask_to_register(places: Places) -> None:
    """Send SIGUSR1 to the daemon, so that it registers again; raises Problem `not-running`, `not-permitted`."""
    _send_signal(places, signal.SIGUSR1)


def ask_to_reload(places: Places) -> None:
    """Send SIGHUP to the daemon, so that it reads all files again; raises as `ask_to_register`."""
    _send_signal(places, signal.SIGHUP)


def _send_signal(places: Places, number: signal.Signals) -> None:
    status = load_status(places.runtime)
    if status is None or not is_running(status) or not _lock_is_held(places.state):
        raise Problem("not-running", "dpsd is not running")
    try:
        os.kill(status["pid"], number)
    except ProcessLookupError:
        raise Problem("not-running", "dpsd is not running") from None
    except PermissionError:
        raise Problem("not-permitted", "only root may send the daemon a signal") from None


def _lock_is_held(state: State) -> bool:
    """Tell whether the daemon holds its lock: a process id in an old status file may be another program's by now."""
    if not os.path.exists(state.lock):  # or it cannot be seen, and then nothing can be told
        return not os.access(state.private, os.X_OK)
    try:
        with lock(state.lock):
            pass
    except Problem:
        return True
    return False


def read_problem(status: dict[str, Any] | None) -> Problem | None:
    """Return the problem in a status, or in a part of one; None without a problem."""
    from dpsd.state.messages import parse_problem  # the resident daemon does without it

    try:
        found = Table(status or {}).optional_table("problem")
        return None if found is None else parse_problem(found)
    except ShapeError:
        return None
