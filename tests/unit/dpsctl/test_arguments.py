"""Arguments in, words and an exit status out."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dpsd import __version__
from dpsd.dpsctl.arguments import Arguments, Option, UsageError, Verb, enter
from dpsd.errors import Problem
from dpsd.state.places import CONFIGURATION
from tests.unit.authority import put_secret
from tests.unit.examples import CHECKOUT, GROUP_KEY

PROBLEM = Problem("dps-throttled", "wait\x1b[31m", hint="do \xe9 this", also=("and more",), retry_after=7)
TOLD = "dpsd: dps-throttled: wait\\x1b[31m\ndpsd: dps-throttled: and more\nhint: do \\xc3\\xa9 this\n"


def show(arguments: Arguments) -> int:
    """A verb that shows what it was given."""
    print(json.dumps([arguments.options, arguments.operands, arguments.places]))
    return 3


def fail(arguments: Arguments) -> int:
    """A verb that raises what its operand names."""
    raise {
        "problem": PROBLEM,
        "bug": KeyError("odd"),
        "file": OSError(errno.ENOSPC, "full", "odd"),
        "interrupt": KeyboardInterrupt(),
        "pipe": BrokenPipeError(errno.EPIPE, "gone"),
    }[arguments.operands[0]]


VERBS = {
    "show": Verb(show, "show", {"--name": Option("a value", "NAME"), "--flag": Option("no value")}, ("A", "B")),
    "fail": Verb(fail, "fail", {"--json": Option("as JSON")}, ("HOW",)),
}
DEFAULT = {"": Verb(show, "by default")}


@pytest.mark.parametrize(
    ("argv", "options", "operands"),
    [
        (["a", "b"], {}, ["a", "b"]),
        (["--name", "x", "a", "--flag", "b"], {"--name": "x", "--flag": ""}, ["a", "b"]),
        (["a", "b", "--name=x=y"], {"--name": "x=y"}, ["a", "b"]),
        (["a", "b", "--name", "--flag"], {"--name": "--flag"}, ["a", "b"]),
        (["", "-b", "--name="], {"--name": ""}, ["", "-b"]),
    ],
)
def test_a_verb_gets_its_options_and_operands(
    argv: list[str], options: dict[str, str], operands: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter("dpsctl", VERBS, ["show", *argv]) == 3
    assert json.loads(capsys.readouterr().out)[:2] == [options, operands]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["no-such\n"], "no such command: no-such\\x0a"),
        (["--config", "x", "show"], "the command comes first"),
        (["show", "a"], "expected operands: A B; found: a"),
        (["show", "a", "b", "c"], "expected operands: A B; found: a b c"),
        (["show", "a", "b", "--nmae=x"], "unknown option --nmae"),
        (["show", "a", "b", "--name"], "--name needs a value"),
        (["show", "a", "b", "--flag=no"], "--flag takes no value"),
        (["fail"], "expected operands: HOW; found: none"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("dpsctl", VERBS, argv) == 2
    shown = capsys.readouterr()
    assert shown.err == f"dpsctl: {said}\ntry: dpsctl --help\n"
    assert shown.out == ""


def test_a_usage_error_of_a_verb_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def choose(arguments: Arguments) -> int:
        raise UsageError("--format is one of: json env")

    assert enter("dpsctl", {"show": Verb(choose, "show")}, ["show"]) == 2
    assert capsys.readouterr().err.startswith("dpsctl: --format is one of: json env\n")


def test_a_problem_is_told_on_stderr_with_its_hint_and_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("dpsctl", VERBS, ["fail", "problem"]) == 75
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", TOLD)


def test_a_problem_is_told_as_json_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("dpsctl", VERBS, ["fail", "problem", "--json"]) == 75
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert shown.err == ""
    assert (document["code"], document["exit_status"], document["retry_after"]) == ("dps-throttled", 75, 7)
    assert document["also"] == ["and more"]


@pytest.mark.parametrize("kind", ["bug", "file"])
def test_a_bug_is_status_1_and_shows_where(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("dpsctl", VERBS, ["fail", kind]) == 1
    told = capsys.readouterr().err
    assert "'odd'" in told and told.endswith("dpsctl: this is a bug; please report it with the lines above\n")


def test_an_interrupt_is_status_130() -> None:
    assert enter("dpsctl", VERBS, ["fail", "interrupt"]) == 130


def test_the_version_and_the_help_are_for_everybody(capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("dpsctl", VERBS, ["--version"]) == 0
    assert capsys.readouterr().out == f"dpsctl {__version__}\n"
    assert enter("dpsctl", VERBS, ["show", "--help"]) == 0
    helped = capsys.readouterr().out
    assert all(word in helped for word in ("show A B", "--name NAME", "--config FILE", "--state-dir DIR"))
    assert "fail HOW" not in helped
    assert enter("dpsctl", VERBS, []) == 2
    assert "fail HOW" in capsys.readouterr().out


def test_a_command_with_a_default_needs_no_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("dpsd", DEFAULT, []) == 3
    assert enter("dpsd", DEFAULT, ["--state-dir", "/x"]) == 3
    assert enter("dpsd", DEFAULT, ["attempt"]) == 2


def test_the_places_are_those_of_the_options_then_of_systemd_then_of_the_package(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def places(*argv: str) -> list[object]:
        enter("dpsd", DEFAULT, list(argv))
        found: list[object] = json.loads(capsys.readouterr().out)[2]
        return found

    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    assert places() == [list(CONFIGURATION), "/var/lib/dpsd", "/run/dpsd"]
    monkeypatch.setenv("STATE_DIRECTORY", "/a")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/b")
    assert places("--runtime-dir=c") == [list(CONFIGURATION), "/a", f"{tmp_path}/c"]
    assert places("--config", "d.toml", "--state-dir", "/e/") == [[f"{tmp_path}/d.toml"], "/e", "/b"]


def test_a_reader_that_goes_away_costs_no_traceback() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from tests.unit.dpsctl.test_arguments import *; " + (
        "sys.exit(enter('dpsctl', VERBS, ['fail', 'pipe']))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(CHECKOUT)], capture_output=True, check=False, env=os.environ)
    assert (ran.returncode, ran.stderr) == (1, b"")


LONG = ["derive-key", "--group-key-file=group.key", *(f"pi-{number}" for number in range(1000))]


@pytest.mark.parametrize("words", [["--version"], ["explain"], ["show", "--json", "--state-dir=."], LONG[:3], LONG])
def test_output_that_cannot_be_written_is_told_in_one_line(words: list[str], tmp_path: Path) -> None:
    put_secret(tmp_path / "group.key", GROUP_KEY.encode())
    command = [sys.executable, "-m", "dpsd.dpsctl", *words]
    environment = {"PYTHONPATH": str(CHECKOUT)}
    with open("/dev/full", "w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=environment, check=False)
        assert (ran.returncode, ran.stderr) == (75, b"dpsctl: cannot write the output: No space left on device\n")
        ran = subprocess.run(command, stdout=full, stderr=full, cwd=tmp_path, env=environment, check=False)
        assert ran.returncode == 75
