"""Text from outside, made safe to show.

A service's error message, a file name or a certificate's subject ends up in STATUS=, in the journal, on a terminal
and in JSON. It must not control any of them: no second line, no escape sequence, no log priority.
"""

from __future__ import annotations

from collections.abc import Iterable

LIMIT = 200
"""Characters that are shown; the longest message seen from DPS has 120."""


def printable(outside: object, limit: int = LIMIT) -> str:
    """Return `outside` as one line of at most `limit` printable ASCII characters; other bytes become `\\xNN`."""
    pieces: list[str] = []
    room = limit
    for piece in map(_escape, str(outside)):
        room -= len(piece)
        if room < 0:
            return _shorten("".join(pieces), limit)
        pieces.append(piece)
    return "".join(pieces)


def suggest(text: str, known: Iterable[str]) -> str:
    """Return `; did you mean WORD?` for the known word that `text` looks like, empty if it looks like none."""
    from difflib import get_close_matches  # slow to import, and needed only for a wrong word

    close = get_close_matches(text.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _escape(character: str) -> str:
    if " " <= character <= "~":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _shorten(text: str, limit: int) -> str:
    return (text[: max(0, limit - 3)] + "...")[:limit]
