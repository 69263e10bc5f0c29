"""Time limits for blocking calls, by ITIMER_REAL, and the steps of an attempt; for the main thread only.

A signal is the only limit that reaches a TLS handshake or a connect inside a library.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

from dpsd.errors import Problem
from dpsd.state.messages import Event, Step


class TimeUp(BaseException):  # not an Exception, so that no library catches it
    """The time limit of the enclosing `time_limit` is over."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the `with` block after `seconds`."""
    previous = signal.signal(signal.SIGALRM, _raise_time_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _raise_time_up(number: int, frame: object) -> None:
    raise TimeUp


STEP_LIMIT = 30
"""Seconds for one step: connecting, subscribing, or one answer."""

Report = Callable[[Event], None]


@contextlib.contextmanager
def step(text: str, report: Report, extra: float = 0, limit: float = STEP_LIMIT) -> Iterator[None]:
    """Report a step and limit its time. limit: seconds. extra: more seconds, for a step that waits.

    Raises Problem `no-answer` after that time.
    """
    report(Step(text))
    try:
        with time_limit(limit + extra):
            yield
    except TimeUp:
        raise Problem("no-answer", f"no answer within {limit} s while {text}") from None
