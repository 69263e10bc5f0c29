"""A time limit around blocking calls, by ITIMER_REAL. Floor 2; main thread only.

A signal is the one limit that reaches a TLS handshake or a connect inside a library. `TimeUp` is not an Exception, so
that no library's handler can swallow it.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class TimeUp(BaseException):
    """The time limit of the enclosing `time_limit` is over."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp inside the block after `seconds`."""
    previous = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _ring(number: int, frame: object) -> None:
    raise TimeUp
