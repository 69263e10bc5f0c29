"""Microsoft's SDK for devices, the oracle from outside, in a virtual environment of its own (it needs paho-mqtt 1)."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

from tests.emulator_process import ROOT

SDK = ("azure-iot-device==2.14.0",)
SECONDS = 60
"""In which a script with the SDK ends."""


def interpreter() -> Path:
    """Return the interpreter of the environment, which is made once and kept."""
    folder = ROOT / "build" / "venvs" / f"azure-{sys.version_info.major}.{sys.version_info.minor}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python, complete = folder / "bin" / "python", folder / "complete"
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            venv.create(folder, clear=True, with_pip=True)
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
            subprocess.run([*pip, *SDK], check=True, timeout=280)
            complete.touch()
    return python
