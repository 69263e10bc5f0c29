"""What went wrong becomes words and an exit status, or the signal that a shell expects."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dpsd.errors import Problem
from dpsd.state.places import CONFIGURATION, Places
from dpsd.system.command import UsageError, find_places, run_command
from tests.unit.authority import put_secret
from tests.unit.examples import CHECKOUT, GROUP_KEY

PROBLEM = Problem("dps-throttled", "wait\x1b[31m", hint="do \xe9 this", also=("and more",), retry_after=7)
SHOWN = "dpsd: dps-throttled: wait\\x1b[31m\ndpsd: dps-throttled: and more\nhint: do \\xc3\\xa9 this\n"


def raising(error: Exception) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


def test_the_status_of_a_command_is_returned() -> None:
    assert run_command("dpsctl", lambda: 3) == 3


def test_wrong_usage_is_status_2_and_says_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("dpsctl", raising(UsageError("--format is one of: json env"))) == 2
    assert capsys.readouterr() == ("", "dpsctl: --format is one of: json env\ntry: dpsctl --help\n")


def test_a_problem_is_told_on_stderr_with_its_hint_and_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("dpsctl", raising(PROBLEM)) == 75
    assert capsys.readouterr() == ("", SHOWN)


def test_a_problem_is_told_as_json_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("dpsctl", raising(PROBLEM), as_json=True) == 75
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert shown.err == ""
    assert (document["code"], document["exit_status"], document["retry_after"]) == ("dps-throttled", 75, 7)
    assert document["also"] == ["and more"]


@pytest.mark.parametrize("error", [KeyError("odd"), OSError(errno.ENOSPC, "full", "odd")])
def test_a_bug_is_status_1_and_shows_where(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("dpsctl", raising(error)) == 1
    told = capsys.readouterr().err
    assert "'odd'" in told and told.endswith("dpsctl: this is a bug; please report it with the lines above\n")


def test_the_places_are_those_of_the_options_then_of_systemd_then_of_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    assert find_places({}) == Places(CONFIGURATION, "/var/lib/dpsd", "/run/dpsd")
    monkeypatch.setenv("STATE_DIRECTORY", "/a")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/b")
    assert find_places({"--runtime-dir": "c"}) == Places(CONFIGURATION, "/a", f"{tmp_path}/c")
    assert find_places({"--config": "d.toml", "--state-dir": "/e/"}) == Places((f"{tmp_path}/d.toml",), "/e", "/b")


def test_ctrl_c_ends_a_command_quietly_by_its_signal_and_keeps_what_it_printed() -> None:
    code = """if True:
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
        sys.path.insert(0, sys.argv[1])
        from dpsd.system.command import run_command
        def command():
            print("before", end="")
            signal.raise_signal(signal.SIGINT)
            return 0
        sys.exit(run_command("dpsctl", command))
    """
    ran = subprocess.run([sys.executable, "-I", "-c", code, str(CHECKOUT)], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGINT, b"before", b"")


LONG = ["derive-key", "--group-key-file=group.key", *(f"pi-{number}" for number in range(1000))]
"""It fills the buffer of standard output before it ends."""


def start(words: list[str], folder: Path, output: int, errors: int) -> subprocess.Popen[bytes]:
    put_secret(folder / "group.key", GROUP_KEY.encode())
    command, found = [sys.executable, "-m", "dpsd.dpsctl", *words], {"PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(command, stdout=output, stderr=errors, cwd=folder, env=found)


@pytest.mark.parametrize("words", [["--version"], ["explain", "--help"], LONG[:3], LONG])
def test_a_reader_that_went_away_ends_a_command_quietly_by_its_signal(words: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with start(words, tmp_path, writing, subprocess.PIPE) as process:
        os.close(writing)
        assert process.communicate()[1] == b""
    assert process.returncode == -signal.SIGPIPE


@pytest.mark.parametrize(
    "words", [["--version"], ["seal", "--help"], ["explain"], ["show", "--json", "--state-dir=."], LONG[:3], LONG]
)
def test_output_that_cannot_be_written_is_told_in_one_line(words: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        with start(words, tmp_path, full.fileno(), subprocess.PIPE) as process:
            assert process.communicate()[1] == b"dpsctl: cannot write the output: No space left on device\n"
        assert process.returncode == 75
        with start(words, tmp_path, full.fileno(), full.fileno()) as process:
            assert process.wait() == 75
