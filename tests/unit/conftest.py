"""What the unit tests share: settings of Hypothesis, a state directory, and a look at what each test leaves behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from dpsd.provisioning.publish import prepare_folders
from dpsd.state.places import Places

settings.register_profile("unit", deadline=None, max_examples=60, database=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No descriptor stays open and no child stays unreaped."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) - before == set()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A state directory of the test's own."""
    found = Places((f"{tmp_path}/dpsd.toml",), f"{tmp_path}/state", f"{tmp_path}/run")
    prepare_folders(found.state, found.runtime)
    return found
