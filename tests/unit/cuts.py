"""A script killed just before each of its system calls, by strace."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import sweep
from tests.unit.examples import CHECKOUT

START = "import sys; sys.path.insert(0, sys.argv[1]); "
"""How a script begins that imports dpsd from the checkout; its second argument is the folder."""
CALLS = "openat,write,fsync,fchmod,/^(rename|unlink|mkdir)"
Fresh = Callable[[], Path]
"""Makes a folder that is ready for the script."""


def traced(script: str, folder: Path, given: bytes, *options: str) -> int:
    command = ["strace", "-f", "-qq", "-y", *options]
    python = [sys.executable, "-I", "-S", "-B", "-c", script, str(CHECKOUT), str(folder)]
    return subprocess.run([*command, *python], input=given, check=False).returncode


def compile_modules(script: str, folder: Path, given: bytes) -> None:
    """Run a script once, so that no other test does it meanwhile: it opens fewer files from then on."""
    subprocess.run([sys.executable, "-I", "-S", "-c", script, str(CHECKOUT), str(folder)], input=given, check=True)


def cuts(script: str, fresh: Fresh, given: bytes = b"") -> Iterator[tuple[str, Path]]:
    """Run `script` in a fresh folder once for each of its calls that matter there, killed just before it.

    Yields the call and the folder. A call that only reads, or does nothing, leaves what the one before it left.
    """
    compile_modules(script, fresh(), given)
    folder = fresh()
    log = folder.with_suffix(".log")
    assert traced(script, folder, given, f"--trace={CALLS}", f"--output={log}") == 0
    seen: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        call = re.sub(r"^\d+ +(\w+)\(.*", r"\1", line)
        seen[call] += 1
        if str(folder) in line and " = -1 " not in line and (call != "openat" or "O_CREAT" in line):
            cut = fresh()
            inject = f"--inject={call}:signal=SIGKILL:when={seen[call]}"
            assert traced(script, cut, given, f"--trace={call}", inject, "--output=/dev/null") != 0, line
            sweep.check_device(cut / "state", cut / "run")
            yield line, cut
