"""What all tests share: those marked `root` are left out where nothing can be booted."""

from __future__ import annotations

import os

import namespace
import pytest

LAB = "needs root and its lab: run ./dev test as root"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and say so, what needs Debian roots, when this is not `./dev test` run by root."""
    if os.environ.get(namespace.INSIDE) == "mounted":
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=LAB))
