"""Lines for the journal of what a door did: one at once for whoever is new, then one a minute with a count. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PERIOD = 60.0
"""Seconds between two lines about the same."""


class Count(NamedTuple):
    """since: when the last line was written, by the monotonic clock. more: what happened after it."""

    since: float
    more: int = 0


class Tally(NamedTuple):
    """counts: by what happened, in words, whoever did it among them."""

    counts: Mapping[str, Count] = {}

    def note(self, what: str, now: float, detail: str = "") -> tuple[Tally, list[str]]:
        """Note that something happened; return what is known then and the lines to write at once."""
        count = self.counts.get(what)
        if count is None:
            return Tally({**self.counts, what: Count(now)}), [what + detail]
        return Tally({**self.counts, what: count._replace(more=count.more + 1)}), []

    def flush(self, now: float, period: float = PERIOD) -> tuple[Tally, list[str]]:
        """Return what is known after a look at the clock, and the lines that are due; with a period of 0, all."""
        due = {what: count for what, count in self.counts.items() if now - count.since >= period}
        lines = [f"{what}: {count.more} more times" for what, count in due.items() if count.more]
        kept = {what: Count(now) if what in due else count for what, count in self.counts.items()}
        quiet = [what for what, count in due.items() if not count.more]
        return Tally({what: count for what, count in kept.items() if what not in quiet}), lines
