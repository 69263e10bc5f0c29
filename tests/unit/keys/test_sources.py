"""The secrets of key sources: made whole or not at all, and made anew where the old one is of no use any more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dpsd.keys.sources import derive_secret, prepare_secret
from tests.unit.examples import problem_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may let systemd-creds encrypt")
STAND_IN = """#!{python} -I
import base64, sys
given, verb = sys.stdin.buffer.read(), sys.argv[1]
sys.stdout.buffer.write({says})
"""
WORKS = "base64.b64encode(given) if verb == 'encrypt' else base64.b64decode(given)"
BREAKS = {"nothing": "b''", "garbage": "b'x' * 32", "half": "base64.b64encode(given)[:24]", "much": "b'x' * (1 << 24)"}


class Systemd:
    """A stand-in for systemd-creds, and the machine id of its machine."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._command, self._machine_id = folder / "systemd-creds", folder / "machine-id"
        monkeypatch.setattr("dpsd.keys.systemd_creds.COMMAND", str(self._command))
        monkeypatch.setattr("dpsd.system.machine_id.MACHINE_ID", str(self._machine_id))
        monkeypatch.setattr("dpsd.system.machine_id.find_mounted_kind", lambda path: "ext4")
        self.folder = str(folder / "keys")
        self.machine_id("1" * 32)
        self.says(WORKS)

    def machine_id(self, text: str) -> None:
        self._machine_id.write_text(f"{text}\n")

    def says(self, expression: str) -> None:
        self._command.write_text(STAND_IN.format(python=sys.executable, says=expression))
        self._command.chmod(0o755)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    return Systemd(tmp_path, monkeypatch)


@as_root
@pytest.mark.parametrize("says", BREAKS.values(), ids=BREAKS)
def test_what_systemd_does_not_keep_whole_is_no_secret(systemd: Systemd, says: str) -> None:
    systemd.says(says)
    problem_of("key-source-failed", lambda: prepare_secret("systemd", systemd.folder))
    assert not Path(systemd.folder).exists()


@as_root
def test_an_empty_secret_seals_nothing(systemd: Systemd) -> None:
    prepare_secret("systemd", systemd.folder)
    systemd.says("b''")
    before = Path(systemd.folder, "systemd.json").read_bytes()
    problem_of("key-source-failed", lambda: derive_secret("systemd", b"salt", systemd.folder))
    prepare_secret("systemd", systemd.folder)
    assert Path(systemd.folder, "systemd.json").read_bytes() == before


@as_root
def test_on_another_machine_id_sealing_again_makes_another_secret(systemd: Systemd) -> None:
    prepare_secret("systemd", systemd.folder)
    before = derive_secret("systemd", b"salt", systemd.folder)
    systemd.machine_id("2" * 32)
    problem_of("key-source-changed", lambda: derive_secret("systemd", b"salt", systemd.folder))
    prepare_secret("systemd", systemd.folder)
    assert derive_secret("systemd", b"salt", systemd.folder) != before
    assert sorted(os.listdir(systemd.folder)) == ["systemd.json", "systemd.json.unusable"]


def test_a_broken_key_file_is_made_anew_and_a_whole_one_stays(tmp_path: Path) -> None:
    prepare_secret("file", str(tmp_path))
    before = (tmp_path / "file.key").read_bytes()
    prepare_secret("file", str(tmp_path))
    assert (tmp_path / "file.key").read_bytes() == before
    (tmp_path / "file.key").write_bytes(b"")
    prepare_secret("file", str(tmp_path))
    assert len((tmp_path / "file.key").read_bytes()) == 32
