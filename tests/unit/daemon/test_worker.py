"""An attempt's process: what comes of one that does not say it itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.examples import CHECKOUT

CODE = """if True:
    import os, selectors, sys, time
    from dpsd.errors import Problem
    from dpsd.state.messages import Step, encode_event
    from dpsd.daemon.worker import Worker
    if sys.argv[1:]:
        os.write(1, encode_event(Step("subscribing")))
        exec(sys.argv[1])
        os._exit(3)
    selector = selectors.DefaultSelector()
    worker = Worker([os.environ["END"]], selector)
    while worker.take() is not None and "sleep" not in os.environ["END"]:
        pass
    try:
        worker.outcome()
    except Problem as problem:
        print(problem)
    worker.end()
    print(len(selector.get_map()))
"""
"""Starts itself as the attempt, which ends as END says; one that sleeps is over before it has ended."""


@pytest.mark.parametrize(
    ("end", "named"),
    [
        ("pass", "worker-failed: the attempt ended with status 3 while subscribing"),
        ("os.kill(os.getpid(), 9)", "worker-failed: the attempt ended with signal 9 while subscribing"),
        ("time.sleep(99)", "attempt-deadline: the attempt was stopped after 300 s while subscribing"),
        ("os.write(1, b'odd' + bytes([10]))", "worker-failed: the attempt said something odd: "),
    ],
)
def test_an_attempt_that_does_not_say_what_came_of_it_is_named_and_left_behind(end: str, named: str) -> None:
    command = [sys.executable, "-c", CODE]
    ran = subprocess.run(command, env={"END": end}, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    problem, watched = ran.stdout.splitlines()
    assert problem.startswith(named)
    assert watched == "0"
