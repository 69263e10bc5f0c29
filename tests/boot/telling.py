"""What a whole computer tells of itself: on its console, and then it powers itself off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

UNIT = "[Service]\nExecStart=/usr/local/bin/tell\n"
WANTS = "etc/systemd/system/multi-user.target.wants"


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files to a disk, in folders that are made if need be."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def let_tell(root: Path, script: str) -> None:
    """Let a disk's system run a shell script at each boot, with the console for its output, and then power off."""
    told = f"#!/bin/sh\nexec >/dev/console 2>&1\ntrap 'systemctl poweroff' EXIT\necho\n{script}"
    write(root, {"usr/local/bin/tell": told, "etc/systemd/system/tell.service": UNIT})
    (root / "usr/local/bin/tell").chmod(0o755)
    (root / WANTS / "tell.service").symlink_to("../tell.service")
