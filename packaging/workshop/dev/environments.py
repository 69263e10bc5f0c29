"""Python virtual environments below build/environments, made anew when their requirements change."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

if sys.version_info >= (3, 11):
    import tomllib
else:  # for mypy: ./dev asks for 3.11
    import tomli as tomllib

from workshop.dev import places
from workshop.dev.command import run
from workshop.dev.lock import only_one


class Environment(NamedTuple):
    """A name, and what pip is to put there."""

    name: str
    requirements: tuple[str, ...]


# Microsoft's device client, to check the emulator from outside; it wants an old paho.
AZURE = Environment("azure", ("azure-iot-device==2.14.0",))
# What draws the chart of ./dev simulate.
CHARTS = Environment("charts", ("matplotlib>=3.9,<4",))
# What Debian 12 has; goes before an environment's own packages by PYTHONPATH.
OLD_PAHO = Environment("paho-1.6", ("paho-mqtt==1.6.1",))
# A package there would count as installed, and be missed by whoever runs without it.
IGNORING_PYTHONPATH = "-E"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install")

Project = TypedDict("Project", {"dependencies": list[str], "optional-dependencies": dict[str, list[str]]})


def read_project() -> Project:
    """The [project] table of pyproject.toml."""
    text = (places.CHECKOUT / "pyproject.toml").read_text()
    return cast(Project, tomllib.loads(text)["project"])


def development() -> Environment:
    """All that the package, the emulator and the tests need."""
    project = read_project()
    extras = project["optional-dependencies"]
    return Environment("development", (*project["dependencies"], *extras["emulator"], *extras["test"]))


def demonstration() -> Environment:
    """What the package and the emulator need."""
    project = read_project()
    return Environment("demonstration", (*project["dependencies"], *project["optional-dependencies"]["emulator"]))


def python_of(environment: Environment) -> Path:
    """The Python of a virtual environment. Raises Failure with pip's last words when it cannot be made."""

    def fill(folder: Path) -> None:
        run([sys.executable, "-m", "venv", folder])
        run([folder / "bin/python", IGNORING_PYTHONPATH, *PIP, *environment.requirements])

    return made(environment, fill) / "bin/python"


def packages_of(environment: Environment) -> Path:
    """A folder for PYTHONPATH that holds the packages alone. Raises Failure as python_of does."""

    def fill(folder: Path) -> None:
        run([python_of(development()), *PIP, "--no-deps", f"--target={folder}", *environment.requirements])

    return made(environment, fill)


def packages_with_dependencies(environment: Environment) -> Path:
    """As packages_of, with all that the packages need; for another Python, so nothing compiled may be among it."""

    def fill(folder: Path) -> None:
        run([python_of(development()), *PIP, f"--target={folder}", *environment.requirements])

    return made(environment._replace(name=f"{environment.name}-packages"), fill)


def made(environment: Environment, fill: Callable[[Path], None]) -> Path:
    """The folder of an environment, filled if it is not there or was left half done."""
    mark = hashlib.sha256("\n".join([sys.version, *environment.requirements]).encode()).hexdigest()[:12]
    folder = places.ENVIRONMENTS / f"{environment.name}-{mark}"
    whole = folder / ".whole"
    places.ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with only_one(places.ENVIRONMENTS / f".{folder.name}.lock"):
        if not whole.exists():
            print(f"dev: making the Python environment {environment.name}", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            fill(folder)
            whole.touch()
    return folder
