"""The command `dpsd`: the daemon, and the attempt that it starts."""

from __future__ import annotations

import os
import sys

from dpsd.dpsctl.arguments import Arguments, Option, Verb, enter
from dpsd.errors import EXIT_DONE, Problem
from dpsd.state.places import CONFIGURATION


def _daemon(arguments: Arguments) -> int:
    from dpsd.daemon.supervisor import Supervisor
    from dpsd.system.notify import Notifier
    from dpsd.system.owner import become_owner
    from dpsd.system.process import forbid_core_dumps

    os.umask(0o077)
    forbid_core_dumps()
    places = arguments.places
    become_owner(places)
    worker = ["attempt", "--state-dir", places.state, "--runtime-dir", places.runtime]
    if places.configuration != CONFIGURATION:
        worker += ["--config", *places.configuration]
    return Supervisor(places, Notifier(), worker).run()


def _attempt(arguments: Arguments) -> int:
    """Make one attempt and tell about it on stdout, for the supervisor."""
    from dpsd.provisioning.attempt import attempt
    from dpsd.provisioning.record_file import peek_record
    from dpsd.state.messages import Event, Failed, encode_event, parse_orders

    def report(event: Event) -> None:
        sys.stdout.buffer.write(encode_event(event))
        sys.stdout.buffer.flush()

    places = arguments.places
    orders = parse_orders(arguments.options.get("--orders", "{}"))
    try:
        report(attempt(places, peek_record(places), orders, report))
    except Problem as problem:
        report(Failed(problem))
    # All is said and nothing is held: taking the interpreter down in order would only cost time.
    os._exit(EXIT_DONE)


VERBS = {
    "": Verb(_daemon, "provision this device and tell systemd when it is ready"),
    "attempt": Verb(
        _attempt,
        "one attempt, for the daemon itself; people use: dpsctl provision",
        {"--orders": Option("what to do", "JSON")},
    ),
}


def main() -> int:
    return enter("dpsd", VERBS, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
