"""Commands in a Debian root that is not booted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from workshop.dev.command import run

# No machined to register with, no unit of our own to leave; output as it comes.
QUIET = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit")


def run_in(root: Path, arguments: Sequence[str | Path], *, folder: str = "/", timeout: float = 600) -> str:
    """Run a program inside a root, without a network; its output. Raises Failure on a status not 0."""
    return run(
        [
            *QUIET,
            "--private-network",
            "--console=pipe",
            f"--chdir={folder}",
            # Two of one name at the same time are refused, and without a name the root's folder gives it.
            f"--machine=dpsd-{uuid.uuid4().hex[:12]}",
            f"--directory={root}",
            *arguments,
        ],
        timeout=timeout,
    )
