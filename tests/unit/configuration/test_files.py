"""Configuration files are read, and refused where others could have written them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.configuration.files import check_writers, load_layers
from dpsd.configuration.settings import Layer
from tests.unit.examples import problem_of

OWN = frozenset({os.geteuid()})
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that only its owner may write, whatever the mask."""
    path = tmp_path / "etc"
    path.mkdir()
    path.chmod(0o755)
    yield path


@pytest.fixture
def path(folder: Path) -> Path:
    path = folder / "dpsd.toml"
    path.write_text("[dps]")
    path.chmod(0o644)
    return path


def insecure(path: Path, named: Path, writers: frozenset[int] = OWN) -> str:
    """The sentence of the refusal; what its hint says makes the file acceptable."""
    problem = problem_of("configuration-insecure", lambda: load_layers([str(path)], writers))
    assert problem.sentence.startswith(f"{named} ")
    subprocess.run(["sh", "-ec", problem.hint], check=True)
    assert load_layers([str(path)], writers) == [Layer(str(path), "[dps]")]
    return problem.sentence


def test_files_are_read_in_their_order(path: Path, folder: Path) -> None:
    (folder / "link.toml").symlink_to(path)
    layers = load_layers([f"{folder}/link.toml", str(path)], OWN)
    assert layers == [Layer(f"{folder}/link.toml", "[dps]"), Layer(str(path), "[dps]")]


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o622])
def test_a_file_that_others_may_write_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert f"mode {mode:04o}" in insecure(path, path)


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_folder_that_others_may_write_is_refused(path: Path, folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert f"mode {mode:04o}" in insecure(path, folder)


def test_a_folder_above_that_others_may_write_is_refused(tmp_path: Path, folder: Path, path: Path) -> None:
    tmp_path.chmod(0o777)
    insecure(path, tmp_path)


def test_a_folder_behind_a_link_that_others_may_write_is_refused(tmp_path: Path, folder: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dpsd.toml").write_text("[dps]")
    (home / "dpsd.toml").chmod(0o644)
    home.chmod(0o777)
    (folder / "dpsd.toml").symlink_to(home / "dpsd.toml")
    insecure(folder / "dpsd.toml", home)


def test_any_file_can_be_judged_so_and_one_that_is_not_there_is_left_to_who_opens_it(path: Path, folder: Path) -> None:
    (folder / "link").symlink_to(path)
    check_writers(f"{folder}/link", OWN)
    check_writers(f"{folder}/missing/file", OWN)
    path.chmod(0o666)
    problem = problem_of("configuration-insecure", lambda: check_writers(f"{folder}/link", OWN))
    assert problem.sentence == f"{folder}/link may be written by others (mode 0666)"
    path.chmod(0o644)
    folder.chmod(0o777)
    problem_of("configuration-insecure", lambda: check_writers(str(path), OWN))


@pytest.mark.parametrize("mode", [0o1777, 0o1775])
def test_a_sticky_folder_protects_its_files(path: Path, folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert load_layers([str(path)], OWN) == [Layer(str(path), "[dps]")]


@as_root
def test_the_file_of_another_user_is_refused(path: Path) -> None:
    os.chown(path, 12345, 12345)
    assert "belongs to user 12345" in insecure(path, path, frozenset())
    os.chown(path, 12345, 12345)
    assert len(load_layers([str(path)], frozenset({12345}))) == 1


@as_root
def test_the_folder_of_another_user_is_refused(path: Path, folder: Path) -> None:
    os.chown(folder, 12345, 12345)
    assert "belongs to user 12345" in insecure(path, folder, frozenset())


@as_root
def test_a_sticky_folder_of_another_user_is_refused(path: Path, folder: Path) -> None:
    folder.chmod(0o1777)
    os.chown(folder, 12345, 12345)
    assert "belongs to user 12345" in insecure(path, folder, frozenset())


def test_no_file_at_all_is_named() -> None:
    problem = problem_of("configuration-missing", lambda: load_layers([], OWN))
    assert "/etc/dpsd/dpsd.toml" in problem.hint


@pytest.mark.parametrize("name", ["none.toml", "none/dpsd.toml", "loop.toml"])
def test_a_file_that_cannot_be_opened_is_named(folder: Path, name: str) -> None:
    (folder / "loop.toml").symlink_to("loop.toml")
    problem = problem_of("configuration-missing", lambda: load_layers([f"{folder}/{name}"], OWN))
    assert problem.sentence.startswith(f"{folder}/{name} ")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["pipe", "folder", "large", "latin-1"])
def test_what_is_no_text_file_is_refused(folder: Path, kind: str) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "folder").mkdir()
    (folder / "large").write_bytes(b"#" * (64 * 1024 + 1))
    (folder / "latin-1").write_bytes("#é".encode("latin-1"))
    (folder / "latin-1").chmod(0o600)
    problem = problem_of("configuration-invalid", lambda: load_layers([f"{folder}/{kind}"], OWN))
    said = "is not UTF-8 (byte 1)" if kind == "latin-1" else "is not a regular file of at most 65536 bytes"
    assert problem.sentence == f"{folder}/{kind} {said}"
