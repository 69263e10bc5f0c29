"""Running other programs: output shown or kept, a failure with its last words."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from workshop.dev.failure import Failure

SHOWN_LINES = 40


def run(
    arguments: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and give back what it printed on stdout and stderr.

    Raises Failure with the end of that output when the status is not 0 or the time is over.
    """
    words = [str(word) for word in arguments]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as over:
        raise Failure(f"{words[0]} did not end within {timeout} s", " ".join(words)) from over
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-SHOWN_LINES:])
        raise Failure(f"{words[0]} ended with status {done.returncode}:\n{last}", " ".join(words))
    return done.stdout


def show(arguments: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> int:
    """Run a program on this terminal and give back its exit status."""
    return subprocess.run([str(word) for word in arguments], env=environment, check=False).returncode
