"""./dev test: the linters, the type checker, and pytest, whose closing line comes last."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from workshop.dev import environments, namespace, places
from workshop.dev.command import show
from workshop.dev.prerequisites import COMPUTERS, IF_OFFERED, LAB, OBSERVERS, add, require

OLDEST_PYTHON = "3.10"


def test(arguments: Sequence[str]) -> int:
    """All checks, or only pytest with the arguments if there are any besides --full. The exit status."""
    if os.geteuid() == 0:
        require({**LAB, **OBSERVERS, **(COMPUTERS if "--full" in arguments else {})})
        add(IF_OFFERED)
        namespace.enter()
    else:
        print("dev: not root, so nothing will be built or booted", file=sys.stderr)
    python = environments.python_of(environments.development())
    chosen = [word for word in arguments if word != "--full"]
    marks = "" if "--full" in arguments else "not full"
    if chosen:
        return pytest(python, ["-m", marks, *chosen])
    side_by_side = [f"--numprocesses={(os.cpu_count() or 1) + 1}", "--dist=loadgroup"]
    return lint(python) or with_old_paho(python, side_by_side, marks) or pytest(python, ["-m", marks, *side_by_side])


def lint(python: Path) -> int:
    """What can be known without running anything."""
    mypy = ["mypy", "--no-error-summary", f"--cache-dir={places.BUILD / 'mypy-cache'}"]
    for name, words in {
        "ruff": ["ruff", "check", "--quiet", f"--cache-dir={places.BUILD / 'ruff-cache'}"],
        "mypy": mypy,
        f"mypy for Python {OLDEST_PYTHON}": [*mypy, f"--python-version={OLDEST_PYTHON}"],
    }.items():
        print(f"dev: {name}", flush=True)
        status = show([python, "-m", *words])
        if status != 0:
            return status
    return 0


def with_old_paho(python: Path, options: Sequence[str], marks: str) -> int:
    """The tests of MQTT sessions once more, with the paho of Debian 12."""
    print("dev: tests of MQTT with paho-mqtt 1.6.1", flush=True)
    paho = environments.packages_of(environments.OLD_PAHO)
    chosen = f"mqtt and {marks}" if marks else "mqtt"
    return pytest(python, ["-m", chosen, *options, "--quiet", str(places.CHECKOUT / "tests")], str(paho))


def pytest(python: Path, arguments: Sequence[str], packages: str = "") -> int:
    """Run pytest, with a folder of other packages first if one is given. The exit status."""
    environment = {**os.environ, **({"PYTHONPATH": packages} if packages else {})}
    return show([python, "-m", "pytest", *arguments], environment=environment)
