"""./dev simulate: a fleet that boots together, on paper; see docs/fleet.md."""

from __future__ import annotations

import os
from collections.abc import Sequence

from workshop.dev import environments, places
from workshop.dev.command import show


def simulate(arguments: Sequence[str]) -> int:
    """Run the simulation in an environment of its own, since it draws a chart. Its exit status."""
    python = environments.python_of(environments.CHARTS)
    modules = os.pathsep.join([str(places.CHECKOUT), str(places.CHECKOUT / "packaging")])
    return show([python, "-m", "tests.simulation", *arguments], environment={**os.environ, "PYTHONPATH": modules})
