"""What all tests share: the sweep for secrets, which of them run side by side, and which need a lab to boot in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests import canaries, sweep
from workshop.dev import namespace

LAB = "needs root and its lab: run ./dev test as root"
ONE_BY_ONE = ("boot", "package")
"""Folders whose tests share Debian roots."""


@pytest.fixture(scope="session", autouse=True)
def all_output_is_swept() -> Iterator[None]:
    """Whatever a process of dpsd prints to a test is searched for secrets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "communicate", sweep.sweeping(subprocess.Popen.communicate))
        yield


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """No file that a test leaves in its folder holds a secret, unless it was put there."""
    with canaries.kept():
        yield
        folder = getattr(request.node, "funcargs", {}).get("tmp_path")
        if folder is not None:
            sweep.check_files(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Search what a test has printed itself, and what was logged in its process."""
    report = yield
    found = canaries.find(report.capstdout.encode() + report.capstderr.encode() + report.caplog.encode())
    if found and report.when == "call":
        report.outcome, report.longrepr = "failed", f"{found} is in what the test printed"
    return report


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and skip, saying so, what needs Debian roots unless `./dev test` has them."""
    mounted = os.environ.get(namespace.INSIDE) == "mounted"
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))
        if item.get_closest_marker("root") and not mounted:
            item.add_marker(pytest.mark.skip(reason=LAB))


def _group(path: Path) -> str:
    return "lab" if path.parent.name in ONE_BY_ONE else str(path)
