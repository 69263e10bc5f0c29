"""One attempt in the foreground, published on success: what `dpsctl provision` does."""

from __future__ import annotations

import os
import time

from dpsd.errors import Problem
from dpsd.provisioning.attempt import attempt
from dpsd.provisioning.candidate import has_candidate, promote, waiting_trial
from dpsd.provisioning.publish import prepare_folders, publish, raise_flag
from dpsd.provisioning.record_file import load_record
from dpsd.state.connection import Connection
from dpsd.state.messages import Event, Orders, Step
from dpsd.state.places import Places, State
from dpsd.system.daemon import ask_to_reload
from dpsd.system.files import lock
from dpsd.system.journal import INFO, log, log_problem
from dpsd.system.owner import is_owner

PUBLISH_LIMIT = 60
"""Seconds for the daemon to publish what is registered already."""
_LOOK_INTERVAL = 0.2


def provision_here(places: Places, *, force: bool) -> Connection:
    """Attempt, publish and raise the flag; raises Problem, `state-locked` when the daemon holds the state directory."""
    try:
        prepare_folders(places.state, places.runtime)
        holding = lock(places.state.lock)
    except Problem as problem:
        if problem.code == "state-unwritable" and not is_owner(places.state):
            raise Problem("not-permitted", problem.sentence) from None
        raise
    with holding:
        previous, unreadable = load_record(places.state)
        if unreadable is not None:
            log_problem(unreadable)
        if previous is not None:
            promote(previous, places)
        done = attempt(places, previous, Orders(force=force), tell)
        publish(done.record, places)
        raise_flag(places.runtime)
        if has_candidate(done.record, places):
            done = attempt(places, done.record, Orders(trial=waiting_trial(places)), tell)
            publish(done.record, places)
        return done.record.connection


def publish_renewed(places: Places) -> None:
    """Have the record of a renewed credential published, here or by the daemon; it takes no packet. Raises Problem."""
    try:
        provision_here(places, force=False)
    except Problem as problem:
        if problem.code != "state-locked":
            raise
        ask_to_reload(places)
        _await_daemon(places.state)


def _await_daemon(state: State) -> None:
    end = time.monotonic() + PUBLISH_LIMIT
    while os.path.lexists(state.renewed):
        if time.monotonic() >= end:
            raise Problem("timeout", "the new credential is registered and in place, but dpsd has not published it yet")
        time.sleep(_LOOK_INTERVAL)


def tell(event: Event) -> None:
    """Show a person the steps."""
    if isinstance(event, Step):
        log(INFO, event.text)
