"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from dpsd.system.files import (
    commit,
    commit_if_changed,
    keep_aside,
    list_kept_aside,
    load,
    lock,
    make_folder,
    remove,
    replace,
    set_aside,
)
from tests.unit.examples import CHECKOUT, problem_of


@pytest.fixture(autouse=True, params=[0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """The daemon's own mask, and none at all: a mode must not depend on it."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o644])
def test_a_committed_file_has_its_content_and_mode(tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "file"
    for data in (b"", b"old", b"new" * 100_000):
        commit(str(path), data, wanted)
        assert path.read_bytes() == data
        assert mode(path) == wanted
    assert os.listdir(tmp_path) == ["file"]


def test_an_open_reader_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    commit(str(path), b"old", 0o644)
    with path.open("rb") as reader:
        commit(str(path), b"new", 0o644)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_a_left_over_of_a_cut_is_overwritten(tmp_path: Path) -> None:
    left = tmp_path / ".file.new"
    left.write_bytes(b"half of a long conte")
    left.chmod(0o666)
    commit(str(tmp_path / "file"), b"new", 0o600)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new" and mode(tmp_path / "file") == 0o600


def test_a_link_in_the_way_of_a_new_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    for link in (".file.new", "file"):
        (tmp_path / link).symlink_to(victim)
    commit(str(tmp_path / "file"), b"new", 0o600)
    assert victim.read_bytes() == b"untouched"
    assert not (tmp_path / "file").is_symlink()


def test_a_file_is_born_in_its_staging_folder_with_that_group(tmp_path: Path) -> None:
    staging = tmp_path / "agents"
    staging.mkdir()
    if os.geteuid() == 0:
        os.chown(staging, 0, 12345)
    staging.chmod(0o2700)
    commit(str(tmp_path / "file"), b"new", 0o640, str(staging))
    found = (tmp_path / "file").stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (staging.stat().st_gid, 0o640)
    assert os.listdir(staging) == []


def test_a_file_that_is_right_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert commit_if_changed(str(path), b"data", 0o644)
    inode = path.stat().st_ino
    assert not commit_if_changed(str(path), b"data", 0o644)
    assert path.stat().st_ino == inode
    assert commit_if_changed(str(path), b"other", 0o644)
    assert commit_if_changed(str(path), b"other", 0o600) and mode(path) == 0o600


@pytest.mark.parametrize("write", [commit, replace])
def test_a_folder_that_is_missing_is_named(tmp_path: Path, write: Callable[[str, bytes, int], None]) -> None:
    path = f"{tmp_path}/no\nsuch/file"
    problem = problem_of("state-unwritable", lambda: write(path, b"", 0o600))
    assert problem.sentence == f"cannot write {tmp_path}/no\\x0asuch/file: No such file or directory"
    assert os.listdir(tmp_path) == []


def test_a_write_that_fails_is_named_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        problem = problem_of("state-unwritable", lambda: commit(str(path), b"too long", 0o600))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert problem.sentence.endswith(": File too large")
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"old"


def test_a_replaced_file_has_its_content_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    for data in (b"old", b"new"):
        replace(str(path), data, 0o644)
        assert (path.read_bytes(), mode(path)) == (data, 0o644)
    assert os.listdir(tmp_path) == ["status.json"]


def test_a_removed_file_is_gone_and_may_have_been(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    remove(str(path))
    remove(str(path))
    assert not path.exists()
    problem_of("state-unwritable", lambda: remove(str(tmp_path)))


def test_a_file_set_aside_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "assignment.json"
    for data in (b"first", b"second"):
        path.write_bytes(data)
        aside = set_aside(str(path))
        assert Path(aside).read_bytes() == data
        assert not path.exists()
    assert os.listdir(tmp_path) == ["assignment.json.unusable"]


def test_only_a_regular_file_within_the_limit_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    assert load(str(path), 4) == b"1234"
    assert load(str(path), 3) is None
    assert [load(f"{tmp_path}/{name}") for name in ("link", "pipe", "none", ".")] == [None] * 4


@pytest.mark.parametrize("wanted", [0o700, 0o755])
def test_a_folder_is_made_with_its_mode_and_then_left_alone(tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "folder"
    make_folder(str(path), wanted)
    assert mode(path) == wanted
    path.chmod(0o711)
    make_folder(str(path), wanted)
    assert mode(path) == 0o711
    problem_of("state-unwritable", lambda: make_folder(f"{tmp_path}/no/such", 0o755))


def test_a_lock_is_held_by_one_process_until_it_ends(tmp_path: Path) -> None:
    path = f"{tmp_path}/lock"
    script = "import sys; sys.path.insert(0, sys.argv[1]); from dpsd.system.files import lock; "
    script += "lock(sys.argv[2]); print(1); sys.stdout.flush(); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(CHECKOUT), path]
    with Popen(command, stdin=PIPE, stdout=PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"1\n"
        problem_of("state-locked", lambda: lock(path))
        holder.kill()
        holder.wait()
        with lock(path):
            pass
    assert mode(path) == 0o600


def test_a_lock_is_free_again_after_the_block_whatever_ended_it(tmp_path: Path) -> None:
    path = f"{tmp_path}/lock"
    with pytest.raises(ZeroDivisionError), lock(path):
        problem_of("state-locked", lambda: lock(path))
        raise ZeroDivisionError
    with lock(path):
        pass
    problem_of("state-unwritable", lambda: lock(f"{tmp_path}/no/lock"))


def test_what_is_kept_aside_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for number in range(1, 13):
        path.write_text(str(number))
        assert keep_aside(str(path)) == f"{path}.newer-{number}"
    assert {Path(one).read_text() for one in list_kept_aside(str(path))} == {str(number) for number in range(1, 13)}
    problem_of("state-unwritable", lambda: keep_aside(str(path)))
