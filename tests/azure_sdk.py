"""Microsoft's SDK for devices, the oracle from outside, in a virtual environment of its own (it needs paho-mqtt 1)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from workshop.dev import environments

SECONDS = 60
"""In which a script with the SDK ends."""


def run(script: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the SDK to its end; the environment is made once and kept."""
    python = environments.python_of(environments.AZURE)
    command = [str(python), environments.IGNORING_PYTHONPATH, str(script), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
