"""The targets: a name, and a function that takes any bytes and fails unless they end in a value or a named problem.

Two engines feed them: Hypothesis in every run of the tests, and atheris behind `./dev fuzz`. The seeds of both are the
files of `corpus/NAME/`, an input in each, among them every input that once was a finding.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fuzz import credentials, doors, emulator, files, hub, network, sealed, session

Target = Callable[[bytes], None]

CORPUS = Path(__file__).parent / "corpus"
TARGETS: dict[str, Target] = {
    **network.TARGETS,
    **session.TARGETS,
    **hub.TARGETS,
    **files.TARGETS,
    **credentials.TARGETS,
    **sealed.TARGETS,
    **emulator.TARGETS,
    **doors.TARGETS,
}


def seeds(name: str) -> list[Path]:
    """The corpus of a target."""
    return sorted((CORPUS / name).iterdir())
