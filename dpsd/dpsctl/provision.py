"""`dpsctl provision`: an attempt, here or by the daemon."""

from __future__ import annotations

import sys
import time
from typing import Any

from dpsd.daemon.foreground import provision_here
from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, Problem
from dpsd.state.places import Places
from dpsd.system.daemon import ask_to_register, is_provisioned, is_running, load_status, read_problem
from dpsd.system.owner import become_owner

POLL_INTERVAL = 0.2
"""Seconds between two looks at the daemon's files."""


def run(arguments: Arguments) -> int:
    become_owner(arguments.places.state)
    force = arguments.has("--force")
    try:
        connection = provision_here(arguments.places, force=force)
    except Problem as problem:
        if problem.code != "state-locked":
            raise
        return _provision_by_daemon(arguments.places, force)
    print(f"provisioned: {connection.device_id} at {connection.iothub_hostname}")
    return EXIT_DONE


def _provision_by_daemon(places: Places, force: bool) -> int:
    """Let the daemon, which holds the state directory, make the attempt, and show its steps."""
    if is_provisioned(places.runtime) and not force:
        print("already provisioned; to register again: dpsctl provision --force")
        return EXIT_DONE
    before = load_status(places.runtime) or {}
    ask_to_register(places)
    shown = ""
    while True:
        status = load_status(places.runtime) or {}
        if not is_running(status) or status.get("pid") != before.get("pid"):
            raise Problem("not-running", "dpsd ended, or was restarted, before the attempt was over")
        if status.get("finished") != before.get("finished"):
            return _outcome(status)
        if status.get("step") != shown:
            shown = str(status.get("step"))
            print(f"dpsd: {shown}", file=sys.stderr)
        time.sleep(POLL_INTERVAL)


def _outcome(status: dict[str, Any]) -> int:
    problem = read_problem(status)
    if problem is not None:
        raise problem
    print("provisioned")
    return EXIT_DONE
