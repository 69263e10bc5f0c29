"""A step of an attempt: told to whoever watches, and limited in time. Floor 2."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from dpsd.alarm import TimeUp, time_limit
from dpsd.errors import Problem
from dpsd.progress import Event, Step

STEP_LIMIT = 30
"""Seconds for one step: connecting, subscribing, or one answer."""

Report = Callable[[Event], None]


@contextlib.contextmanager
def step(text: str, report: Report, extra: float = 0, limit: float = STEP_LIMIT) -> Iterator[None]:
    """Report a step and limit its time; `extra` seconds are added to the limit of a step that waits.

    Raises Problem `no-answer` when the time is over.
    """
    report(Step(text))
    try:
        with time_limit(limit + extra):
            yield
    except TimeUp:
        raise Problem("no-answer", f"no answer within {limit} s while {text}") from None
