"""The command `dpsd`: the daemon, and the attempt that it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

from dpsd import __version__
from dpsd.errors import EXIT_DONE, Problem
from dpsd.state.places import CONFIGURATION, Places
from dpsd.system.command import PLACES_OPTIONS, UsageError, find_places, run_command
from dpsd.text import printable

_USAGE = """usage: dpsd [OPTION...]

Provision this device, and tell systemd when it is ready.

options:"""


def main() -> int:
    return run_command("dpsd", lambda: _run(sys.argv[1:]))


def _run(words: list[str]) -> int:
    if "--version" in words:
        print(f"dpsd {__version__}")
    elif "--help" in words:
        print(_help())
    elif words[:1] == ["attempt"]:
        options = read_options(words[1:], {*PLACES_OPTIONS, "--orders"})
        _attempt(find_places(options), options.get("--orders", "{}"))
    else:
        return _daemon(find_places(read_options(words, PLACES_OPTIONS)))
    return EXIT_DONE


def read_options(words: list[str], known: Collection[str]) -> dict[str, str]:
    """Read options that all take a value; raises UsageError. The daemon has no room for argparse."""
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name not in known:
            raise UsageError(f"unknown argument {printable(name)}")
        given = value if equals else next(rest, None)
        if given is None:
            raise UsageError(f"{name} needs a value")
        options[name] = given
    return options


def _help() -> str:
    shown = {**{f"{name} {option.value}": option.help for name, option in PLACES_OPTIONS.items()}, "--help": ""}
    return "\n".join([_USAGE, *(f"  {name:20}{said}".rstrip() for name, said in shown.items()), "  --version"])


def _daemon(places: Places) -> int:
    from dpsd.daemon.supervisor import Supervisor
    from dpsd.system.notify import Notifier
    from dpsd.system.owner import become_owner
    from dpsd.system.process import forbid_core_dumps

    os.umask(0o077)
    forbid_core_dumps()
    become_owner(places.state)
    worker = ["attempt", "--state-dir", places.state, "--runtime-dir", places.runtime]
    if places.configuration != CONFIGURATION:
        worker += ["--config", *places.configuration]
    return Supervisor(places, Notifier(), worker).run()


def _attempt(places: Places, orders: str) -> None:
    """Make one attempt and tell about it on stdout, for the supervisor."""
    from dpsd.provisioning.attempt import attempt
    from dpsd.provisioning.record_file import peek_record
    from dpsd.state.messages import Event, Failed, encode_event, parse_orders

    def report(event: Event) -> None:
        sys.stdout.buffer.write(encode_event(event))
        sys.stdout.buffer.flush()

    try:
        report(attempt(places, peek_record(places.state), parse_orders(orders), report))
    except Problem as problem:
        report(Failed(problem))
    # All is said and nothing is held: taking the interpreter down in order would only cost time.
    os._exit(EXIT_DONE)


if __name__ == "__main__":
    sys.exit(main())
