"""The door of both commands: arguments in, words and an exit status out.

A table of verbs says what a command can do; this is the one place that turns an exception into words. It does without
argparse, which would cost the resident daemon as much memory as all of its own code.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dpsd import __version__
from dpsd.errors import EXIT_BUG, EXIT_DONE, EXIT_LATER, EXIT_USAGE, Problem, encode_problem
from dpsd.state.places import CONFIGURATION, RUNTIME_DIRECTORY, STATE_DIRECTORY, Places
from dpsd.system.journal import is_journal, log_problem
from dpsd.text import printable

_SENTENCE_LIMIT = 1000
_OUTPUT_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""What a write to an open file fails by."""


class Arguments(NamedTuple):
    """options: by name, the value or an empty string."""

    options: dict[str, str]
    operands: list[str]
    places: Places

    def has(self, name: str) -> bool:
        return name in self.options


class Option(NamedTuple):
    """help: what it does. value: the name of what it takes, empty where it takes nothing."""

    help: str
    value: str = ""


class Verb(NamedTuple):
    """run: does it and returns the exit status. options: by name. operands: their names, for the usage line and for
    their number; the last may be left out if it is in brackets, and repeated if it ends with dots."""

    run: Callable[[Arguments], int]
    summary: str
    options: Mapping[str, Option] = {}
    operands: tuple[str, ...] = ()


COMMON_OPTIONS = {
    "--config": Option("that file instead of the usual ones", "FILE"),
    "--state-dir": Option("instead of /var/lib/dpsd", "DIR"),
    "--runtime-dir": Option("instead of /run/dpsd", "DIR"),
}


class UsageError(Exception):
    """Wrong arguments; the message says which."""


def enter(program: str, verbs: Mapping[str, Verb], argv: list[str]) -> int:
    """Run the verb that `argv` names; a table with the verb "" has a default. Returns the exit status."""
    try:
        status = _enter(program, verbs, argv)
        if sys.stdout is not None:
            sys.stdout.flush()  # at the end of Python nobody could say that it fails
    except OSError as error:
        return _lose_output(program, error)
    return status


def _enter(program: str, verbs: Mapping[str, Verb], argv: list[str]) -> int:
    """Do it; raises OSError only where output cannot be written: whatever else lies outside has become a Problem."""
    as_json = "--json" in argv
    try:
        return _run(program, verbs, argv)
    except UsageError as error:
        print(f"{program}: {error}\ntry: {program} --help", file=sys.stderr)
        return EXIT_USAGE
    except Problem as problem:
        show_problem(problem, as_json)
        return problem.kind.exit_status
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS and error.filename is None:
            raise
        import traceback  # 0.5 MiB that the resident daemon has no use for

        traceback.print_exc()
        print(f"{program}: this is a bug; please report it with the lines above", file=sys.stderr)
        return EXIT_BUG


def _lose_output(program: str, error: OSError) -> int:
    """Say that output cannot be written, unless its reader went away; return the status. The rest goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    if error.errno == errno.EPIPE:
        return EXIT_BUG
    try:
        print(f"{program}: cannot write the output: {error.strerror}", file=sys.stderr)
    except OSError:
        os.dup2(nowhere, 2)
    return EXIT_LATER


def show_problem(problem: Problem, as_json: bool = False) -> None:
    """Print a problem to stderr, with its fields where that is the journal; as JSON to stdout."""
    if as_json:
        print(json.dumps(encode_problem(problem)))
        return
    if is_journal():
        log_problem(problem)
        return
    for sentence in (problem.sentence, *problem.also):
        print(f"dpsd: {problem.code}: {printable(sentence, _SENTENCE_LIMIT)}", file=sys.stderr)
    print(f"hint: {printable(problem.hint, _SENTENCE_LIMIT)}", file=sys.stderr)


def _run(program: str, verbs: Mapping[str, Verb], argv: list[str]) -> int:
    if "--version" in argv:
        print(f"{program} {__version__}")
        return EXIT_DONE
    name = argv[0] if argv and not argv[0].startswith("-") else ""
    if "--help" in argv or (not argv and "" not in verbs):
        print(_help(program, {name: verbs[name]} if name and name in verbs else verbs))
        return EXIT_DONE if argv else EXIT_USAGE
    if name not in verbs:
        raise UsageError(f"no such command: {printable(name)}" if name else "the command comes first")
    return verbs[name].run(_parse(verbs[name], argv[1:] if name else argv))


def _parse(verb: Verb, argv: list[str]) -> Arguments:
    known = {**COMMON_OPTIONS, **verb.options}
    options: dict[str, str] = {}
    operands: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            operands.append(word)
        elif name not in known:
            raise UsageError(f"unknown option {printable(name)}")
        elif known[name].value:
            options[name] = value if equals else _value(name, next(words, None))
        elif equals:
            raise UsageError(f"{name} takes no value")
        else:
            options[name] = ""
    optional = sum(name.startswith("[") for name in verb.operands)
    repeated = any("..." in name for name in verb.operands)
    if len(operands) < len(verb.operands) - optional or (len(operands) > len(verb.operands) and not repeated):
        expected = " ".join(verb.operands) or "none"
        raise UsageError(f"expected operands: {expected}; found: {printable(' '.join(operands)) or 'none'}")
    return Arguments(options, operands, _places(options))


def _value(name: str, value: str | None) -> str:
    if value is None:
        raise UsageError(f"{name} needs a value")
    return value


def _places(options: Mapping[str, str]) -> Places:
    state = os.environ.get("STATE_DIRECTORY", STATE_DIRECTORY)
    runtime = os.environ.get("RUNTIME_DIRECTORY", RUNTIME_DIRECTORY)
    config = options.get("--config")
    return Places(
        configuration=CONFIGURATION if config is None else (os.path.abspath(config),),
        state=os.path.abspath(options.get("--state-dir", state)),
        runtime=os.path.abspath(options.get("--runtime-dir", runtime)),
    )


def _help(program: str, verbs: Mapping[str, Verb]) -> str:
    lines = [f"usage: {program} [OPTION...] {'COMMAND' if '' not in verbs else ''}".rstrip(), ""]
    for name, verb in verbs.items():
        lines.append(f"  {' '.join((name, *verb.operands)) or program:28} {verb.summary}")
        lines += ["    " + _help_of(name, option) for name, option in verb.options.items()]
    lines += ["", "options of every command:", *(_help_of(name, option) for name, option in COMMON_OPTIONS.items())]
    return "\n".join([*lines, "  --help", "  --version"])


def _help_of(name: str, option: Option) -> str:
    return f"  {name} {option.value}".rstrip() + f"  {option.help}"
