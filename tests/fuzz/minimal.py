"""The least of a finding: python -m tests.fuzz.minimal TARGET FILE, on stdout what still fails in the same way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.targets import TARGETS


def minimal(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Leave out of `data` whatever can be left out so that it still fails: halves first, single bytes last."""
    size = len(data)
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if fails(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def failure(target: str, data: bytes) -> type[BaseException] | None:
    """What a target makes of `data`: None where it ends well."""
    try:
        TARGETS[target](data)
    except BaseException as error:
        return type(error)
    return None


def main(target: str, path: str) -> None:
    data = Path(path).read_bytes()
    before = failure(target, data)
    if before is None:
        sys.exit(f"{path} ends well")
    sys.stdout.buffer.write(minimal(data, lambda shorter: failure(target, shorter) is before))


if __name__ == "__main__":
    main(*sys.argv[1:])
