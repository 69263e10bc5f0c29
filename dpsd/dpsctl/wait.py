"""`dpsctl wait`: until the device is provisioned."""

from __future__ import annotations

import re
import time

from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, EXIT_REFUSED, Problem
from dpsd.system.command import UsageError
from dpsd.system.daemon import is_provisioned, load_status, read_problem

POLL_INTERVAL = 0.2
"""Seconds between two looks at the daemon's files."""


def run(arguments: Arguments) -> int:
    text = arguments.options.get("--timeout")
    if text is not None and not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError("--timeout is a number of seconds")
    end = None if text is None else time.monotonic() + int(text)
    while not is_provisioned(arguments.places.runtime):
        problem = read_problem(load_status(arguments.places.runtime))
        if arguments.has("--fail-on-refusal") and problem is not None and problem.kind.exit_status == EXIT_REFUSED:
            raise problem
        if end is not None and time.monotonic() >= end:
            raise Problem("timeout", f"not provisioned within {text} s")
        time.sleep(POLL_INTERVAL)
    return EXIT_DONE
