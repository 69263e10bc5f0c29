"""Who is at the other end of a door: what the kernel says, and whom `[doors]` lets pass."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dpsd.configuration.settings import Doors
from dpsd.doors import who
from dpsd.doors.who import Peer, check_allowed, is_allowed, peer_of, unit_of
from tests.unit.examples import problem_of

ALONE = "0::{}\n"
BESIDE = "12:pids:/system.slice/other.service\n1:name=systemd:/\n0::{}\n"
OLD = "12:pids:/system.slice/other.service\n1:name=systemd:{}\n0::/\n"


@pytest.mark.parametrize("form", [ALONE, BESIDE, OLD])
@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/telemetry.service", "telemetry.service"),
        ("/system.slice/telemetry.service/inner", "telemetry.service"),
        ("/system.slice/telemetry.service/other.service", "telemetry.service"),
        ("/system.slice/system-agent.slice/agent@1.service", "agent@1.service"),
        ("/system.slice/system-a.slice/system-a-b.slice/agent@1.service", "agent@1.service"),
        ("/system.slice/_cpu.service", "cpu.service"),
        ("/system.slice/__odd.service", "_odd.service"),
        ("/system.slice/ssh.socket/telemetry.service", ""),
        ("/system.slice/docker-0123.scope/telemetry.service", ""),
        ("/system.slice/docker-0123.scope/system.slice/telemetry.service", ""),
        ("/system.slice/mine.slice/telemetry.service", ""),
        ("/system.slice/telemetry.service (deleted)", ""),
        ("/system.slice", ""),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/telemetry.service", ""),
        ("/user.slice/user-1000.slice/user@1000.service/system.slice/telemetry.service", ""),
        ("/machine.slice/box.service/system.slice/telemetry.service", ""),
        ("/../system.slice/telemetry.service", ""),
        ("/telemetry.service", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_a_unit_is_a_service_right_below_system_slice(form: str, path: str, unit: str) -> None:
    assert unit_of(form.format(path)) == unit


@pytest.mark.parametrize("text", ["", "\n", "0:", "0::", "nothing", "1:cpu:/system.slice/telemetry.service"])
def test_an_odd_cgroup_file_names_no_unit(text: str) -> None:
    assert unit_of(text) == ""


SOMEBODY = Peer(1, 4321, frozenset({4321, 0}), "telemetry.service")
ROOTS_GROUP = grp.getgrgid(0).gr_name


@pytest.mark.parametrize(
    ("doors", "allowed"),
    [
        (Doors(), True),
        (Doors(units=("telemetry.service",)), True),
        (Doors(units=("other.service",)), False),
        (Doors(units=("telemetry",)), False),
        (Doors(users=("root",)), False),
        (Doors(groups=(ROOTS_GROUP,)), True),
        (Doors(users=("nobody-of-that-name",), groups=("no-such-group",)), False),
        (Doors(units=("other.service",), users=("root",), groups=(ROOTS_GROUP,)), True),
    ],
)
def test_any_entry_lets_a_peer_pass(doors: Doors, allowed: bool) -> None:
    assert is_allowed(SOMEBODY, doors) is allowed
    assert is_allowed(SOMEBODY._replace(uid=0), doors)


def test_whoever_is_in_no_unit_fits_none() -> None:
    assert not is_allowed(SOMEBODY._replace(unit=""), Doors(units=("telemetry.service",)))


def test_the_refusal_says_whom() -> None:
    problem = problem_of("door-refused", lambda: check_allowed(SOMEBODY, Doors(users=("root",))))
    assert "uid 4321, telemetry.service" in problem.sentence


def test_the_kernel_says_who_this_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = peer_of(ours)
    assert (found.pid, found.uid) == (os.getpid(), os.geteuid())
    assert found.groups == {os.getegid(), *os.getgroups()}
    assert found.unit == unit_of(Path("/proc/self/cgroup").read_text())
    assert is_allowed(found, Doors(users=(pwd.getpwuid(os.geteuid()).pw_name,)))


@pytest.fixture(params=[77, 9999], ids=["by descriptor", "by start time"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The present kernel, and one as old as Debian 12's: a number that no kernel knows. Tells whether it is new."""
    monkeypatch.setattr(who, "SO_PEERPIDFD", request.param)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = who._process(ours)
    if process is not None:
        os.close(process)
    return process is not None


def tell(proc: Path, pid: int, start_time: int = 1234) -> Path:
    """Write what the kernel would tell of a process of telemetry.service; return its folder."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text(f"{pid} (a ) b) S {'0 ' * 18}{start_time} 0\n")
    if not (folder / "cgroup").exists():
        (folder / "cgroup").write_text("0::/system.slice/telemetry.service\n")
    return folder


def unit_at_the_other_end(proc: Path) -> str:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return peer_of(ours, str(proc)).unit


@pytest.mark.usefixtures("kernel")
def test_a_living_peer_has_its_unit(tmp_path: Path) -> None:
    tell(tmp_path, os.getpid())
    assert unit_at_the_other_end(tmp_path) == "telemetry.service"


def connection_of_a_process_that_has_ended(path: Path) -> tuple[socket.socket, int]:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        client = subprocess.Popen([sys.executable, "-c", code, path])
        assert client.wait() == 0
        return door.accept()[0], client.pid


def test_a_peer_that_has_ended_has_no_unit_whoever_has_its_id_now(kernel: bool, tmp_path: Path) -> None:
    connection, pid = connection_of_a_process_that_has_ended(tmp_path / "door")
    with connection:
        assert peer_of(connection).unit == ""
        tell(tmp_path, pid)
        assert peer_of(connection, str(tmp_path)).unit == ("" if kernel else "telemetry.service")


def test_an_old_kernel_may_show_another_process_while_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer ends, and its id is given to another process, between the first look and the second."""
    monkeypatch.setattr(who, "SO_PEERPIDFD", 9999)
    folder = tell(tmp_path, os.getpid())
    (folder / "cgroup").unlink()
    os.mkfifo(folder / "cgroup")

    def take_its_place() -> None:
        with open(folder / "cgroup", "w") as pipe:  # returns once it is read
            tell(tmp_path, os.getpid(), start_time=5678)
            pipe.write("0::/system.slice/telemetry.service\n")

    other = threading.Thread(target=take_its_place)
    other.start()
    assert unit_at_the_other_end(tmp_path) == ""
    other.join()


def test_an_old_kernel_may_show_a_process_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(who, "SO_PEERPIDFD", 9999)
    if os.geteuid() != 0:
        pytest.skip("only root gives folders away")
    os.chown(tell(tmp_path, os.getpid()), 4321, 4321)
    assert unit_at_the_other_end(tmp_path) == ""


def test_more_groups_than_can_be_asked_for_leave_the_primary_one() -> None:
    """Python asks the kernel for 1,024 bytes at most: 256 groups."""
    if os.geteuid() != 0:
        pytest.skip("only root can have so many groups")
    code = "import os, socket, struct; ours, theirs = socket.socketpair(); os.setgroups(range(1, 301));"
    code += (
        "ours, theirs = socket.socketpair(); from dpsd.doors.who import peer_of; print(sorted(peer_of(ours).groups))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == f"[{os.getegid()}]"
