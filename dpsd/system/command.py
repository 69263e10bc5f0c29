"""What the commands dpsd and dpsctl share: how they end, and the options that say where things are."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dpsd.errors import EXIT_BUG, EXIT_LATER, EXIT_USAGE, Problem, encode_problem
from dpsd.state.places import CONFIGURATION, RUNTIME_DIRECTORY, STATE_DIRECTORY, Places
from dpsd.system.journal import is_journal, log_problem
from dpsd.text import printable

_SENTENCE_LIMIT = 1000
_OUTPUT_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""The errors of a write to an open file."""


class Option(NamedTuple):
    """help: what it does. value: the name of the value that it takes, empty if it takes none."""

    help: str
    value: str = ""


PLACES_OPTIONS = {
    "--config": Option("read this file instead of the usual ones", "FILE"),
    "--state-dir": Option("use this folder instead of /var/lib/dpsd", "DIR"),
    "--runtime-dir": Option("use this folder instead of /run/dpsd", "DIR"),
}


class UsageError(Exception):
    """Wrong arguments; the message says which."""


def find_places(options: Mapping[str, str]) -> Places:
    """Return the places that the options name, else systemd's environment, else the usual ones."""
    state = os.environ.get("STATE_DIRECTORY", STATE_DIRECTORY)
    runtime = os.environ.get("RUNTIME_DIRECTORY", RUNTIME_DIRECTORY)
    config = options.get("--config")
    return Places(
        configuration=CONFIGURATION if config is None else (os.path.abspath(config),),
        state=os.path.abspath(options.get("--state-dir", state)),
        runtime=os.path.abspath(options.get("--runtime-dir", runtime)),
    )


def run_command(program: str, command: Callable[[], int], *, as_json: bool = False) -> int:
    """Run a command, say what went wrong, and return the exit status.

    Ctrl-C, and a reader of the output that went away, end the process by SIGINT or SIGPIPE, as any command ends that
    does not handle these. as_json: print a problem as JSON.
    """
    try:
        status = _run(program, command, as_json)
        if sys.stdout is not None:
            sys.stdout.flush()  # Python's own flush at exit could not be reported
    except KeyboardInterrupt:
        return _end_by(signal.SIGINT)
    except BrokenPipeError:
        return _end_by(signal.SIGPIPE)
    except OSError as error:
        return _report_lost_output(program, error)
    return status


def _run(program: str, command: Callable[[], int], as_json: bool) -> int:
    """Run it; raises OSError only if output cannot be written: any other failure outside is a Problem."""
    try:
        return command()
    except UsageError as error:
        print(f"{program}: {error}\ntry: {program} --help", file=sys.stderr)
        return EXIT_USAGE
    except Problem as problem:
        show_problem(problem, as_json)
        return problem.kind.exit_status
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS and error.filename is None:
            raise
        import traceback  # the resident daemon has no use for its 0.5 MiB

        traceback.print_exc()
        print(f"{program}: this is a bug; please report it with the lines above", file=sys.stderr)
        return EXIT_BUG


def show_problem(problem: Problem, as_json: bool = False) -> None:
    """Print a problem to stderr, with its fields if that is the journal; as JSON to stdout."""
    if as_json:
        print(json.dumps(encode_problem(problem)))
        return
    if is_journal():
        log_problem(problem)
        return
    for sentence in (problem.sentence, *problem.also):
        print(f"dpsd: {problem.code}: {printable(sentence, _SENTENCE_LIMIT)}", file=sys.stderr)
    print(f"hint: {printable(problem.hint, _SENTENCE_LIMIT)}", file=sys.stderr)


def _end_by(number: signal.Signals) -> int:
    """End this process by a signal; return what a shell would show if the signal is blocked."""
    signal.signal(number, signal.SIG_DFL)
    try:
        sys.stdout.flush()
    except (AttributeError, OSError):
        pass
    signal.raise_signal(number)
    return 128 + number


def _report_lost_output(program: str, error: OSError) -> int:
    """Say that output cannot be written, drop the rest of it, and return the exit status."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        print(f"{program}: cannot write the output: {error.strerror}", file=sys.stderr)
    except OSError:
        os.dup2(nowhere, 2)
    return EXIT_LATER
