"""Showing text which came from outside, by one function.

A service's error message, a file name or a certificate's subject ends up in STATUS=, in the journal, on a terminal
and in JSON. None of these may be steered by it: no second line, no escape sequence, no log priority.
"""

from __future__ import annotations

from collections.abc import Iterable

LIMIT = 200
"""Characters shown at most; the longest message seen from DPS has 120."""


def printable(outside: object, limit: int = LIMIT) -> str:
    """Return `outside` as one line of printable ASCII of at most `limit` characters, the rest as `\\xNN`."""
    pieces: list[str] = []
    room = limit
    for piece in map(_shown, str(outside)):
        room -= len(piece)
        if room < 0:
            return _shortened("".join(pieces), limit)
        pieces.append(piece)
    return "".join(pieces)


def suggest(text: str, known: Iterable[str]) -> str:
    """Return a question for the one of the known words that `text` looks like, empty if there is none."""
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(text.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(character: str) -> str:
    if " " <= character <= "~":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _shortened(text: str, limit: int) -> str:
    return (text[: max(0, limit - 3)] + "...")[:limit]
