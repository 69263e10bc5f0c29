"""What systemd calls this system, machine-id(5)."""

from __future__ import annotations

import re

from dpsd.system.files import load
from dpsd.system.mounts import VOLATILE, find_mounted_kind

MACHINE_ID = "/etc/machine-id"


def read_machine_id() -> str:
    """Return 32 hex digits that outlast a reboot; raises ValueError with why there are none, in a sentence."""
    found = (load(MACHINE_ID, 256) or b"").decode("ascii", "replace").strip()
    if not re.fullmatch("(?!0{32})[0-9a-f]{32}", found):
        raise ValueError(f"{MACHINE_ID} holds no machine id")
    if find_mounted_kind(MACHINE_ID) in VOLATILE:
        raise ValueError("this machine id is transient, there will be another one at the next boot")
    return found
