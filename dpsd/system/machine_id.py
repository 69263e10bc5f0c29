"""The machine id, by which systemd names this system; see machine-id(5)."""

from __future__ import annotations

import re

from dpsd.system.files import load
from dpsd.system.mounts import VOLATILE, find_mounted_kind

MACHINE_ID = "/etc/machine-id"


def read_machine_id() -> str:
    """Return 32 hex digits that survive a reboot; raises ValueError, with a sentence that says why there are none."""
    found = (load(MACHINE_ID, 256) or b"").decode("ascii", "replace").strip()
    if not re.fullmatch("(?!0{32})[0-9a-f]{32}", found):
        raise ValueError(f"{MACHINE_ID} holds no machine id")
    if find_mounted_kind(MACHINE_ID) in VOLATILE:
        raise ValueError("this machine id is transient: the next boot makes another one")
    return found
