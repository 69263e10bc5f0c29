"""Print the message catalog for the journal, which `journalctl -x` shows below a problem's line.

Run by debian/rules, so that the words are those of the code. Format: https://systemd.io/CATALOG; @DPSD_HINT@ is the
field of the line that is explained.
"""

from __future__ import annotations

import textwrap

from dpsd.errors import PROBLEMS
from dpsd.explanations import explain
from dpsd.system.journal import message_id

ENTRY = """\
-- {id}
Subject: {code}
Defined-By: dpsd
Documentation: man:dpsd(8) man:dpsctl(1)

{meaning}

{hint}

{follows}
"""


def entry(code: str) -> str:
    """The catalog's entry for one problem."""
    known = explain(code)
    return ENTRY.format(
        id=message_id(code),
        code=code,
        meaning=textwrap.fill(str(known["meaning"])),
        hint="What to do: @DPSD_HINT@",
        follows=textwrap.fill(f"What follows (class {known['class']}): {known['follows']}."),
    )


def main() -> None:
    """The whole catalog, one entry after the other."""
    print("\n".join(map(entry, PROBLEMS)), end="")


if __name__ == "__main__":
    main()
