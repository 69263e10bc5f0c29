"""What the fuzzing tests share: no test leaves a descriptor open, or takes much memory, whatever it is fed with."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOM = 512 << 20
"""Bytes of address space above what the test starts with."""


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = re.search(r"VmSize:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert size
    resource.setrlimit(resource.RLIMIT_AS, (int(size[1]) * 1024 + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) - before == set()
