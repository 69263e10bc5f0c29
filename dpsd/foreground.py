"""One attempt in the foreground, published on success: what `dpsctl provision` does. Floor 4."""

from __future__ import annotations

import os

from dpsd.attempt import attempt
from dpsd.connection import Connection
from dpsd.durable import lock
from dpsd.errors import Problem
from dpsd.journal import INFO, log, log_problem
from dpsd.ownership import is_owner
from dpsd.places import Places
from dpsd.progress import Event, Orders, Step
from dpsd.publish import has_candidate, load_record, prepare_folders, promote, publish, raise_flag


def provision_here(places: Places, *, force: bool) -> Connection:
    """Attempt, publish and raise the flag; raises Problem, `state-locked` when the daemon holds the state directory."""
    try:
        prepare_folders(places)
        holding = lock(places.lock)
    except Problem as problem:
        if problem.code == "state-unwritable" and not is_owner(places):
            raise Problem("not-permitted", problem.sentence) from None
        raise
    try:
        previous, unreadable = load_record(places)
        if unreadable is not None:
            log_problem(unreadable)
        if previous is not None:
            promote(previous, places)
        done = attempt(places, previous, Orders(force=force), _tell)
        publish(done.record, places)
        raise_flag(places)
        if has_candidate(done.record, places):
            done = attempt(places, done.record, Orders(candidate=True), _tell)
            publish(done.record, places)
        return done.record.connection
    finally:
        os.close(holding)


def _tell(event: Event) -> None:
    if isinstance(event, Step):
        log(INFO, event.text)
