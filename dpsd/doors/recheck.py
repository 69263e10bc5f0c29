"""Having the daemon look whether the hub still lets the device in: one durable file and a signal.

The file is an order, `{"version": 1, "asked_at": RFC 3339, "by": who}`, which the daemon takes at the signal or at its
next start: neither a restart nor a power cut forgets it. The signal is SIGHUP, the weaker one: a hub that does not
answer must not send a fleet to DPS, as SIGUSR1 would. A second file, in memory, says when the last order of this boot
was given.
"""

from __future__ import annotations

import contextlib
import json

from dpsd.doors.who import Peer
from dpsd.errors import Problem
from dpsd.state.places import Places, Runtime
from dpsd.system.clock import boot_clock, format_time, wall_clock
from dpsd.system.daemon import ask_to_reload
from dpsd.system.files import commit, load, replace

VERSION = 1
INTERVAL = 900
"""Seconds between two orders where `hub.reprovision_after` says never."""


def order_recheck(places: Places, peer: Peer, interval: float) -> None:
    """Order it; raises Problem `door-busy` within `interval` seconds after the last order, `state-unwritable`."""
    now = boot_clock()
    left = _last_order(places.runtime) + (interval or INTERVAL) - now
    if left > 0:
        raise Problem("door-busy", f"a recheck was asked for less than {interval or INTERVAL} s ago", retry_after=left)
    order = {"version": VERSION, "asked_at": format_time(wall_clock()), "by": str(peer)}
    commit(places.state.recheck, json.dumps(order).encode() + b"\n", 0o600)
    replace(places.runtime.rechecked, f"{now:.3f}\n".encode(), 0o644)
    with contextlib.suppress(Problem):  # a daemon that does not run finds the order when it starts
        ask_to_reload(places)


def _last_order(runtime: Runtime) -> float:
    """Return the moment of the last order in this boot, by the clock that counts from it."""
    try:
        return float(load(runtime.rechecked, limit=64) or "-inf")
    except ValueError:
        return float("-inf")
