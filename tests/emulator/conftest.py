from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator_process import EmulatorProcess


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """An emulator for a module's tests; it must have had no trouble of its own at the end."""
    switches = {"polls": 0, "poll-limit": 0}
    with EmulatorProcess(tmp_path_factory.mktemp("emulator"), switches=switches) as process:
        yield process
    assert not (process.directory / "errors.txt").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for an emulator of the test's own."""
    return tmp_path / "emulator"
