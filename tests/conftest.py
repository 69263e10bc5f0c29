"""What all tests share: which of them run side by side, and which are left out where nothing can be booted."""

from __future__ import annotations

import os
from pathlib import Path

import namespace
import pytest

LAB = "needs root and its lab: run ./dev test as root"
ONE_BY_ONE = ("boot", "package")
"""Folders whose tests share Debian roots."""


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
