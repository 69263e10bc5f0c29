"""One target under atheris: python -m tests.fuzz.under_atheris TARGET [OPTION OF LIBFUZZER ...].

What dpsd's own modules do guides the search, and what paho, socks and http.client do, which read bytes for them.
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["dpsd", "paho", "socks", "http.client"]):
    from tests.fuzz.targets import TARGETS

PUMPING = 0.05
"""The part of the mutations that repeat a piece of the input, which libFuzzer itself never tries."""
PIECE_LIMIT = 16


def mutated(data: bytes, limit: int, seed: int) -> bytes:
    """Change `data`: as libFuzzer does, or by repeating a piece, to find what takes more than its size in time."""
    lots = random.Random(seed)
    if not data or lots.random() >= PUMPING:
        changed: bytes = atheris.Mutate(data, limit)
        return changed
    begin = lots.randrange(len(data))
    piece = data[begin : begin + lots.randint(1, PIECE_LIMIT)]
    times = lots.randint(0, max(0, limit - len(data)) // len(piece))
    return data[:begin] + piece * times + data[begin:]


def main(arguments: list[str]) -> None:
    atheris.Setup([sys.argv[0], *arguments[1:]], TARGETS[arguments[0]], custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
