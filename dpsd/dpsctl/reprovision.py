"""`dpsctl reprovision`: the daemon is asked to register again."""

from __future__ import annotations

from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE
from dpsd.system.daemon import ask_to_register
from dpsd.system.owner import become_owner


def run(arguments: Arguments) -> int:
    become_owner(arguments.places.state)  # the status file names the process, and is not root's
    ask_to_register(arguments.places)
    print("asked dpsd to register again; see: dpsctl status")
    return EXIT_DONE
