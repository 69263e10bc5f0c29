"""A file that holds a secret is opened once and judged; the hint repairs what is wrong."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from dpsd.credentials.secret_file import load_secret, open_secret
from dpsd.errors import Problem
from tests import canaries
from tests.unit.authority import put_secret
from tests.unit.examples import problem_of

SECRET = b"c2VjcmV0IHNlY3JldA=="
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 0xFFFFFFFF
ACL_ENTRIES = [(0x01, 6, NOBODY), (0x02, 4, 12345), (0x04, 0, NOBODY), (0x10, 0, NOBODY), (0x20, 0, NOBODY)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A secret file as it should be; its name needs quoting in a shell. The test may move it about."""
    canaries.note(SECRET, "the secret", tmp_path)
    return Path(put_secret(tmp_path / "device key", SECRET))


def refused(path: Path) -> Problem:
    problem = problem_of("credential-insecure", lambda: load_secret(str(path), 100))
    assert str(path) in problem.sentence
    assert SECRET.decode() not in problem.sentence + problem.hint
    return problem


def repair(problem: Problem, path: Path) -> None:
    """Do what the hint says, and open the file."""
    subprocess.run(["sh", "-ec", problem.hint], check=True, cwd="/")
    assert load_secret(str(path), 100) == SECRET


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_of_its_owner_alone_is_loaded(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert load_secret(str(path), len(SECRET)) == SECRET
    with open_secret(str(path), 100) as descriptor:
        assert os.pread(descriptor, 4, 0) == SECRET[:4]
        assert not os.get_inheritable(descriptor)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o644, 0o666, 0o777])
def test_a_file_that_others_reach_is_refused_and_repaired(path: Path, mode: int) -> None:
    path.chmod(mode)
    problem = refused(path)
    assert f"mode {mode:04o}" in problem.sentence
    repair(problem, path)


def test_a_link_is_refused_and_repaired(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    problem = refused(link)
    assert problem.sentence == f"{link} is a link"
    repair(problem, link)


def test_a_second_name_is_refused_and_repaired(path: Path) -> None:
    os.link(path, path.with_name("second"))
    problem = refused(path)
    assert "has 2 names" in problem.sentence
    repair(problem, path)


@as_root
def test_the_file_of_another_user_is_refused_and_repaired(path: Path) -> None:
    os.chown(path, 12345, 12345)
    problem = refused(path)
    assert "belongs to user 12345" in problem.sentence
    repair(problem, path)


@as_root
def test_a_file_that_its_reader_may_not_read_is_refused(path: Path) -> None:
    path.parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.chdir(path.parent)
        os.setuid(12345)
        try:
            load_secret(path.name, 100)
        except Problem as problem:
            os._exit(7 if problem.sentence == "device key cannot be read by the user dpsd runs as" else 1)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_an_access_control_list_is_refused(path: Path) -> None:
    entries = b"".join(struct.pack("<HHI", *entry) for entry in ACL_ENTRIES)
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + entries)
    except OSError as error:
        pytest.skip(f"no access control lists here: {error}")
    problem = refused(path)
    assert "has an access control list" in problem.sentence
    if shutil.which("setfacl"):
        repair(problem, path)


def test_a_credential_that_systemd_made_is_exempt_there_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", f"{path.parent}/other")
    refused(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert load_secret(str(path), 100) == SECRET
    problem_of("credential-invalid", lambda: load_secret(str(path), 3))
    path.with_name("link").symlink_to(path)
    refused(path.with_name("link"))


@pytest.mark.timeout(10)
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name in ("pipe", "folder"):
        problem = refused(tmp_path / name)
        assert problem.sentence == f"{tmp_path}/{name} is not a regular file"
        subprocess.run(["sh", "-ec", problem.hint.partition(",")[0]], check=True)
        assert not (tmp_path / name).exists()


def test_a_socket_cannot_be_opened(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        problem = problem_of("credential-missing", lambda: load_secret(f"{tmp_path}/socket", 100))
    assert "cannot be opened" in problem.sentence


def test_a_file_that_is_missing_is_named_in_one_line(tmp_path: Path) -> None:
    problem = problem_of("credential-missing", lambda: load_secret(f"{tmp_path}/no\nsuch", 100))
    assert problem.sentence == f"{tmp_path}/no\\x0asuch does not exist"


def test_a_file_over_the_limit_is_not_read(path: Path) -> None:
    problem = problem_of("credential-invalid", lambda: load_secret(str(path), len(SECRET) - 1))
    assert problem.sentence == f"{path} has {len(SECRET)} bytes, {len(SECRET) - 1} are allowed"
