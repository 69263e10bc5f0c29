"""Arguments are parsed by the row of their command, and wrong ones are named."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from dpsd import __version__
from dpsd.dpsctl.__main__ import COMMANDS, run
from dpsd.dpsctl.arguments import COMMON_OPTIONS, Command, parse_arguments
from dpsd.system.command import Option, UsageError
from tests.unit.examples import CHECKOUT

TWO = Command("", "", {"--name": Option("a value", "NAME"), "--flag": Option("no value")}, ("A", "B"))
SOME, ONE, NONE = (Command("", "", {"--flag": Option("")}, operands) for operands in (("[A...]",), ("[A]",), ()))


@pytest.mark.parametrize(
    ("command", "words", "options", "operands"),
    [
        (TWO, ["a", "b"], {}, ["a", "b"]),
        (TWO, ["--name", "x", "a", "--flag", "b"], {"--name": "x", "--flag": ""}, ["a", "b"]),
        (TWO, ["a", "b", "--name=x=y"], {"--name": "x=y"}, ["a", "b"]),
        (TWO, ["a", "b", "--name", "x", "--name", "-"], {"--name": "-"}, ["a", "b"]),
        (TWO, ["", "-", "--name=", "--json"], {"--name": "", "--json": ""}, ["", "-"]),
        (TWO, ["--flag", "--", "--name", "b"], {"--flag": ""}, ["--name", "b"]),
        (SOME, [], {}, []),
        (SOME, ["a", "b", "c", "--flag"], {"--flag": ""}, ["a", "b", "c"]),
        (ONE, ["--flag"], {"--flag": ""}, []),
        (ONE, ["--flag", "-"], {"--flag": ""}, ["-"]),
        (NONE, ["--state-dir", "x"], {"--state-dir": "x"}, []),
    ],
)
def test_a_command_gets_its_options_and_operands(
    command: Command, words: list[str], options: dict[str, str], operands: list[str]
) -> None:
    found = parse_arguments("name", command, words)
    assert (found.options, found.operands) == (options, operands)


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        (TWO, ["a"], "the following arguments are required: B"),
        (TWO, ["a", "b", "c"], "unexpected operand c"),
        (TWO, ["a", "b", "--nmae=secret"], "unknown option --nmae; did you mean --name?"),
        (TWO, ["a", "b", "--fla"], "unknown option --fla; did you mean --flag?"),
        (TWO, ["a", "b", "--stat=x"], "unknown option --stat; did you mean --state-dir?"),
        (TWO, ["a", "b", "--name"], "argument --name: expected one argument"),
        (TWO, ["a", "b", "--name", "--flag"], "argument --name: expected one argument"),
        (TWO, ["a", "b", "--flag=\x1bno"], "argument --flag: ignored explicit argument '\\x1bno'"),
        (TWO, ["a", "b", "\x1bc"], "unexpected operand \\x1bc"),
        (TWO, ["a", "b", "--\x1b\n"], "unknown option --\\x1b\\x0a"),
        (TWO, ["a", "b", "-x"], "unknown option -x"),
        (ONE, ["a", "b"], "unexpected operand b"),
        (NONE, ["--", "--flag"], "unknown option --"),
    ],
)
def test_wrong_usage_is_named(command: Command, words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_arguments("name", command, words)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such\n"], "no such command: no-such\\x0a"),
        (["statsu"], "no such command: statsu; did you mean status?"),
        (["help", "statsu"], "no such command: statsu; did you mean status?"),
        (["--config", "x", "show"], "the command comes first"),
        (["status", "--dance"], "unknown option --dance"),
        (["import"], "the following arguments are required: PATH"),
    ],
)
def test_wrong_usage_is_status_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert capsys.readouterr() == ("", f"dpsctl: {said}\ntry: dpsctl --help\n")


@pytest.mark.parametrize("words", [["--help"], ["help"], []])
def test_the_short_help_has_a_line_for_each_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == (0 if words else 2)
    _, _, *lines, _, _, _ = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert run(["help", name]) == 0
    assert capsys.readouterr().out == shown
    options = {**COMMANDS[name].options, **COMMON_OPTIONS}
    lines = [line.split() for line in shown.splitlines() if line.startswith("  --")]
    assert [line[0] for line in lines] == list(options)
    assert all(line[1] == option.value for line, option in zip(lines, options.values(), strict=True) if option.value)
    assert shown.startswith(" ".join([f"usage: dpsctl {name} [OPTION...]", *COMMANDS[name].operands, "\n"])[:-2])
    assert max(map(len, shown.splitlines())) <= 80


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"dpsctl {__version__}\n"


def test_only_the_module_of_the_command_is_loaded() -> None:
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from dpsd.dpsctl.__main__ import COMMANDS, run
        run(["status", "--state-dir", "/nowhere", "--runtime-dir", "/nowhere"])
        print(*(name for name in sys.modules if name.startswith("dpsd.dpsctl.")), *sys.modules, file=sys.stderr)
    """
    ran = subprocess.run([sys.executable, "-I", "-c", code, CHECKOUT], check=True, capture_output=True, text=True)
    loaded = set(ran.stderr.split())
    assert {name for name in loaded if name.startswith("dpsd.dpsctl.")} == {
        "dpsd.dpsctl.__main__",
        "dpsd.dpsctl.arguments",
        "dpsd.dpsctl.status",
    }
    assert loaded & {"shutil", "subprocess", "cryptography", "ssl", "csv"} == set()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_command_has_its_module(command: Command) -> None:
    assert find_spec(f"dpsd.dpsctl.{command.module}") is not None
