"""A deed in a process of its own, which ends with it: what it becomes, or takes too long for, stays there. Floor 2."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import NoReturn


def in_child(deed: Callable[[], bytes]) -> bytes:
    """Do `deed` in a child; return what it returns, nothing where it does not come to that."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _do(deed, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            return pipe.read()
    finally:
        os.waitpid(child, 0)


def _do(deed: Callable[[], bytes], writing: int) -> NoReturn:
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(deed())
        os._exit(0)
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
