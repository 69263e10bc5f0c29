"""The recipe of docs/certificates.md, word for word: a device with what comes out of it is provisioned."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests import canaries
from tests.emulator_process import ROOT
from tests.sockets.board import Board

RECIPE = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/certificates.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("authority", ["root.pem", "factory.pem"])
def test_a_device_with_certificates_of_the_recipe_is_provisioned(board: Board, authority: str) -> None:
    bench = board.folder / "bench"
    bench.mkdir()
    (recipe,) = RECIPE
    subprocess.run(["sh", "-eu"], input=recipe, cwd=bench, text=True, check=True)
    canaries.note((bench / "pi-0001.key").read_bytes(), "the recipe's key", bench)
    certificates = {"signingCertificates": {"primary": (bench / authority).read_text()}}
    group = {"enrollmentGroupId": f"of-{authority}", "attestation": {"type": "x509", "x509": certificates}}
    board.emulator.replace(enrollments={"enrollmentGroups": [group]})
    board.use_certificate()
    place = board.emulator.device("x509-group")
    board.config.write_text(board.config.read_text().replace(f"{place}/device", f"{bench}/pi-0001"))
    ended = board.dpsctl("provision")
    assert ended.stdout.startswith("provisioned: pi-0001 at "), ended.stderr
