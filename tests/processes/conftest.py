from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board
from tests.processes.firmware import use_firmware


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    with EmulatorProcess(tmp_path_factory.mktemp("emulator"), switches={"polls": 0, "poll-limit": 0}) as process:
        yield process


@pytest.fixture
def board(tmp_path: Path, emulator: EmulatorProcess) -> Board:
    emulator.replace()
    return Board(tmp_path / "board", emulator)


@pytest.fixture
def otp(board: Board) -> Board:
    """A board with its key in the firmware's OTP."""
    use_firmware(board)
    return board
