"""The recipe of docs/certificates.md, word for word: a device with what comes out of it is provisioned."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import canaries
from tests.emulator_process import ROOT
from tests.processes.board import Board, environment

PAGE = (ROOT / "docs/certificates.md").read_text()


def recipe(name: str) -> str:
    """Return the one block of the page with this after its fence."""
    (text,) = re.findall(rf"^```{name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


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


@pytest.mark.parametrize("authority", ["root.pem", "factory.pem"])
def test_a_device_with_certificates_of_the_recipe_is_provisioned(board: Board, authority: str) -> None:
    enroll(board, authority)
    ended = board.dpsctl("provision")
    assert ended.stdout.startswith("provisioned: pi-0001 at "), ended.stderr


def test_the_recipe_to_renew_registers_with_a_new_key(board: Board) -> None:
    bench = enroll(board, "factory.pem")
    assert board.dpsctl("provision").returncode == 0
    before = [(bench / f"pi-0001.{kind}").read_bytes() for kind in ("pem", "key")]
    python, *words = board.command("dpsd.dpsctl")
    module, places = shlex.join([python, *words[:2]]), shlex.join(words[2:])
    script = f'id=pi-0001\ndpsctl() {{ {module} "$@" {places}; }}\n' + recipe("sh sign") + recipe("sh renew")
    ended = subprocess.run(
        ["sh", "-eu"], input=script, cwd=bench, env=environment(), text=True, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("\n") and "renewed: pi-0001 at " in ended.stdout
    after = [(bench / f"pi-0001.{kind}").read_bytes() for kind in ("pem", "key")]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert not (bench / "fresh.key").exists()
