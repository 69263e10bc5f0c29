"""`dpsctl reset`: the device forgets its assignment. Floor 5."""

from __future__ import annotations

import subprocess

from dpsd.credentials.systemd_credentials import DROP_IN
from dpsd.door import Arguments, UsageError
from dpsd.errors import EXIT_DONE
from dpsd.reset import FLASH, plan, reset
from dpsd.text import printable


def run(arguments: Arguments) -> int:
    credential = arguments.has("--credential")
    planned = plan(arguments.places, credential=credential)
    if not arguments.has("--yes"):
        print("\n".join(f"would remove {printable(path)}" for path in planned))
        raise UsageError("nothing was removed; to remove it, add --yes")
    for path in reset(arguments.places, credential=credential):
        print(f"removed {printable(path)}", flush=True)
        if path == DROP_IN:
            subprocess.run(["systemctl", "daemon-reload"], check=False)
    print(f"done; {FLASH}")
    return EXIT_DONE
