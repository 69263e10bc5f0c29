"""The recipe of docs/certificates.md, and a board with the device that comes out of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests import canaries
from tests.emulator_process import ROOT
from tests.processes.board import Board, environment

PAGE = (ROOT / "docs/certificates.md").read_text()


def recipe(name: str) -> str:
    """Return the one block of the page with this after its fence."""
    (text,) = re.findall(rf"^```{name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def enroll(board: Board, authority: str, script: str = "", extra: dict[str, str] | None = None) -> Path:
    """Run the recipe, have the group of its authority at the emulator, and give the board its device; return where.

    script: another recipe. extra: more of its environment.
    """
    bench = board.folder / "bench"
    bench.mkdir()
    subprocess.run(
        ["sh", "-eu"], input=script or recipe("sh"), cwd=bench, env=environment(extra), text=True, check=True
    )
    canaries.note((bench / "pi-0001.key").read_bytes(), "the recipe's key", bench)
    certificates = {"signingCertificates": {"primary": (bench / authority).read_text()}}
    group = {"enrollmentGroupId": f"of-{authority}", "attestation": {"type": "x509", "x509": certificates}}
    board.emulator.replace(enrollments={"enrollmentGroups": [group]})
    board.use_certificate()
    board.set("credential.certificate_file", f"{bench}/pi-0001.pem")
    board.set("credential.private_key_file", f"{bench}/pi-0001.key")
    return bench
