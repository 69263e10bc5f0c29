"""What root does with a state directory whose owner, the daemon, was taken over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.provisioning.publish import prepare_folders
from dpsd.state.places import Places
from dpsd.system.files import lock
from tests.unit.examples import CHECKOUT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
STRANGER = 12345


@pytest.fixture
def places() -> Iterator[Places]:
    """A state directory of another user, who can reach it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        places = Places((f"{folder}/dpsd.toml",), f"{folder}/state", f"{folder}/run")
        prepare_folders(places.state, places.runtime)
        for path in (places.state, places.state.private, places.runtime):
            os.chown(path, STRANGER, STRANGER)
        yield places


def dpsctl(places: Places, *words: str) -> subprocess.CompletedProcess[str]:
    where = (f"--config={places.configuration[0]}", f"--state-dir={places.state}", f"--runtime-dir={places.runtime}")
    command = [sys.executable, "-m", "dpsd.dpsctl", *words, *where]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_the_status_file_cannot_have_another_process_signalled(places: Places) -> None:
    with subprocess.Popen(["sleep", "60"]) as victim:
        Path(places.runtime.status).write_text(json.dumps({"pid": victim.pid}))
        with lock(places.state.lock):
            os.chown(places.state.lock, STRANGER, STRANGER)
            assert dpsctl(places, "seal", "--discard").returncode == 0
        assert victim.poll() is None
        victim.terminate()
        assert victim.wait() == -15


def test_a_link_cannot_have_a_file_of_root_read(places: Places) -> None:
    victim = Path(places.state).parent / "victim"
    victim.mkdir(0o700)
    (victim / "credential.sealed").touch()
    os.rmdir(places.state.private)
    os.symlink(victim, places.state.private)
    for words in (["--check"], ["--reseal"]):
        assert "not-permitted" in dpsctl(places, "seal", *words).stderr


def test_a_link_cannot_have_a_file_of_root_removed(places: Places) -> None:
    victim = Path(places.state).parent / "victim"
    victim.mkdir()
    (victim / "credential.sealed").touch()
    (victim / "lock").touch()
    os.chown(victim / "lock", STRANGER, STRANGER)
    os.rmdir(places.state.private)
    os.symlink(victim, places.state.private)
    ended = dpsctl(places, "reset", "--credential", "--yes")
    assert (ended.returncode, "Permission denied" in ended.stderr) == (69, True), ended
    assert (victim / "credential.sealed").exists()


def test_a_certificate_in_a_folder_of_the_daemon_is_not_renewed_by_root(places: Places) -> None:
    folder = Path(places.state).parent
    (folder / "victim.new").touch()
    (Path(places.state) / "device.pem").symlink_to(folder / "victim")
    (Path(places.state.private) / "renewed.json").touch()
    files = f'certificate_file = "{places.state}/device.pem"\nprivate_key_file = "{folder}/device.key"\n'
    Path(places.configuration[0]).write_text(f'[dps]\nid_scope = "0ne00TEST01"\n[credential]\ntype = "x509"\n{files}')
    assert "credential-insecure" in dpsctl(places, "renew").stderr
    assert (folder / "victim.new").exists()
