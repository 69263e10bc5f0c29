"""Whether the configuration and credential files still look the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dpsd.configuration.observed import configuration_files, observe, signature, unchanged

PEM = "-----BEGIN PRIVATE KEY-----\nMIIBsecret\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a public file, a secret one, a drop-in and a link."""
    (tmp_path / "public").write_text("text")
    (tmp_path / "secret").write_text(PEM)
    (tmp_path / "drop.d").mkdir()
    (tmp_path / "drop.d/10.toml").write_text("")
    (tmp_path / "link").symlink_to("public")
    return tmp_path


def observed(folder: Path) -> dict[str, Any]:
    """All of the folder as a record keeps it, which is as JSON."""
    names = ["public", "secret", "drop.d/", "link", "none"]
    seen = {f"{folder}/{name}": observe(f"{folder}/{name}", secret=name == "secret") for name in names}
    found: dict[str, Any] = json.loads(json.dumps(seen))
    return found


def test_what_nobody_touched_is_unchanged(files: Path) -> None:
    seen = observed(files)
    assert unchanged(seen)
    assert seen[f"{files}/public"] == {"text": "text"}
    assert seen[f"{files}/drop.d/"] == {"names": ["10.toml"]}
    assert seen[f"{files}/none"] == {"stat": None}


CHANGES: dict[str, Callable[[Path], object]] = {
    "a public file's text": lambda folder: (folder / "public").write_text("Text"),
    "a secret file's text": lambda folder: (folder / "secret").write_text(PEM.replace("IB", "IC")),
    "a secret file's place": lambda folder: _exchange(folder / "secret"),
    "a public file that goes": lambda folder: (folder / "public").unlink(),
    "a secret file that goes": lambda folder: (folder / "secret").unlink(),
    "a file that comes": lambda folder: (folder / "none").write_text(""),
    "a drop-in that comes": lambda folder: (folder / "drop.d/20.toml").write_text(""),
    "a drop-in that goes": lambda folder: (folder / "drop.d/10.toml").unlink(),
    "a link that points elsewhere": lambda folder: _relink(folder),
}


def _exchange(path: Path) -> None:
    times = path.stat()
    path.with_name("new").write_bytes(path.read_bytes())
    os.utime(path.with_name("new"), ns=(times.st_atime_ns, times.st_mtime_ns))
    path.with_name("new").rename(path)


def _relink(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("secret")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(files: Path, change: str) -> None:
    seen = observed(files)
    CHANGES[change](files)
    assert not unchanged(seen)


def test_a_touched_public_file_is_unchanged(files: Path) -> None:
    seen = observed(files)
    os.utime(files / "public", (0, 0))
    (files / "drop.d/.hidden.toml").write_text("")
    (files / "drop.d/readme").write_text("")
    assert unchanged(seen)


def test_no_secret_is_copied(files: Path) -> None:
    assert set(observe(f"{files}/secret", secret=True)) == {"stat"}
    assert set(observe(f"{files}/secret")) == {"stat"}
    assert observe(f"{files}/public", secret=True) == {"stat": signature(f"{files}/public")}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("path", ["/etc/\0", "/etc/\ud800", "\0/"])
def test_a_path_that_no_file_can_have_has_changed(path: str) -> None:
    assert not unchanged({path: {"stat": None}})


def test_a_pipe_is_observed_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert observe(f"{tmp_path}/pipe") == {"stat": signature(f"{tmp_path}/pipe")}
    assert signature(f"{tmp_path}/none") is None


def test_the_configuration_is_the_files_that_exist_in_their_order(files: Path) -> None:
    for name in ("05.toml", "20.toml", ".hidden.toml", "readme"):
        (files / "drop.d" / name).write_text("")
    places = (f"{files}/none", f"{files}/drop.d/", f"{files}/public", f"{files}/none.d/")
    drop_ins = [f"{files}/drop.d/{name}" for name in ("05.toml", "10.toml", "20.toml")]
    assert configuration_files(places) == [*drop_ins, f"{files}/public"]
