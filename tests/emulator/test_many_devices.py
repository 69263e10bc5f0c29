"""2,000 devices at once, on real connections: the service answers all of them, and none of them hammers it."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.fleet import Fleet
from tests.emulator_process import EmulatorProcess

DEVICES = 2000
THROTTLED = 400


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many descriptors as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("many_files")
def test_2000_devices_are_connected_at_once_and_all_get_provisioned(folder: Path) -> None:
    throttle = {"on": "register-reply", "do": "reply", "status": 429, "retryAfter": "3", "times": THROTTLED}
    with EmulatorProcess(folder, faults=[throttle], switches={"polls": 0, "retry-after": 3}) as emulator:
        assignments = asyncio.run(Fleet(emulator, DEVICES).run())
        lines = emulator.lines()
    assert len({assignment.device_id for assignment in assignments}) == DEVICES
    assert most_connected(lines) == DEVICES
    assert Counter(line["event"] for line in lines)["register"] == DEVICES + THROTTLED
    assert Counter(line["event"] for line in lines)["poll"] == DEVICES
    assert not (folder / "errors.txt").read_text()


def most_connected(lines: list[dict[str, Any]]) -> int:
    """Return how many sessions there were at the same time."""
    steps = {"connect": 1, "disconnect": -1}
    return max(accumulate(steps[line["event"]] for line in lines if line["event"] in steps))
