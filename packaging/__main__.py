"""./dev VERB [ARGUMENT ...]: the verbs, and the one place that turns a Failure into words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from workshop.dev.failure import Failure

Verb = Callable[[Sequence[str]], int]

# Verb: the module and function that do it, and what it does. Imported only when asked for.
VERBS = {
    "demo": ("dev.demo", "demo", "provision a device on the embedded emulator and show each step"),
    "test": ("dev.checks", "test", "all checks; --full: slow ones, too; other arguments are for pytest alone"),
    "fuzz": ("dev.fuzz", "fuzz", "feed odd inputs to everything that reads any; TARGET ... --seconds N for some of it"),
    "deb": ("lab.boot", "build", "build the Debian package"),
    "boot": ("lab.boot", "boot", "boot a Debian with the package on this terminal: bookworm or trixie"),
    "simulate": ("dev.simulate", "simulate", "a fleet of 100,000 devices on paper: how fast, by how many requests"),
    "bench": ("bench.bench", "bench", "measure what it costs, as ratios in one run"),
}


def usage() -> str:
    """The verbs, a line each."""
    return "\n".join(["./dev VERB", *(f"  {verb:<9} {said}" for verb, (_, _, said) in VERBS.items())])


def main(arguments: Sequence[str]) -> int:
    """Do one verb. The exit status: the verb's own, 1 for a Failure, 2 for a verb that is none."""
    if not arguments or arguments[0] not in VERBS:
        print(usage(), file=sys.stderr)
        return 0 if arguments and arguments[0] in {"-h", "--help", "help"} else 2
    module, function, _ = VERBS[arguments[0]]
    try:
        verb: Verb = getattr(import_module(f"workshop.{module}"), function)
        return verb(arguments[1:])
    except Failure as failure:
        print(f"dev: {failure.sentence}", file=sys.stderr)
        if failure.hint:
            print(f"hint: {failure.hint}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
