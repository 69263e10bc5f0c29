"""The recipe of docs/certificates.md, word for word: a device with what comes out of it is provisioned."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from tests.processes.board import Board, environment
from tests.processes.recipe import enroll, recipe

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


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
