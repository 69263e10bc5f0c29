"""`dpsctl explain`: what a problem means, and what to do."""

from __future__ import annotations

import json

from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, PROBLEMS
from dpsd.explanations import explain
from dpsd.system.command import UsageError
from dpsd.text import printable, suggest

_ALL = "; for all of them: dpsctl explain"


def run(arguments: Arguments) -> int:
    if not arguments.operands:
        everything = [explain(code) for code in PROBLEMS]
        brief = "\n".join(f"{one['code']:26} {one['meaning']}".partition(". ")[0].rstrip(".") for one in everything)
        print(json.dumps(everything) if arguments.has("--json") else brief)
        return EXIT_DONE
    code = arguments.operands[0]
    if code not in PROBLEMS:
        raise UsageError(f"there is no problem {printable(code)}{suggest(code, PROBLEMS) or _ALL}")
    found = explain(code)
    lines = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.items())
    print(json.dumps(found) if arguments.has("--json") else lines)
    return EXIT_DONE
