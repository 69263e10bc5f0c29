"""Whose turn the next attempt is: the present credential's, or that of a newly sealed one, the candidate. Floor 4.

The candidate is tried once the device is ready by the present credential, and again after the time that the class of
what went wrong gives. Where the present one is refused or unusable, they take turns.
"""

from __future__ import annotations

from dpsd.candidate import exists, has_candidate
from dpsd.errors import Problem, Retry
from dpsd.places import Places
from dpsd.record import Record


class Turns:
    """candidate: whether the last attempt was the candidate's."""

    def __init__(self, places: Places) -> None:
        self.candidate = False
        self._places = places
        self._next = False
        self._present_holds = False

    def take(self, record: Record | None, *, forced: bool) -> bool:
        """Start the next attempt; tell whether it is for another credential than the last. forced: for the present."""
        before = self.candidate
        self.candidate = self._next and not forced and self._waits(record)
        return self.candidate != before

    def hold(self, record: Record) -> bool:
        """The device is ready by this record; tell whether a candidate is to be tried now."""
        self._present_holds, self._next = True, has_candidate(record, self._places)
        return self._next

    def fail(self, problem: Problem, record: Record | None) -> bool:
        """An attempt failed; tell whether the candidate is to be tried at once, in the place of the present one."""
        if problem.kind.retry not in (Retry.REFUSED, Retry.CONFIGURATION):
            return False
        self._next = self._present_holds or not self.candidate
        return self._next and not self.candidate and self._waits(record)

    def begin_anew(self) -> None:
        """Something changed: the present credential comes first."""
        self._next = self._present_holds = False

    def _waits(self, record: Record | None) -> bool:
        return exists(self._places) if record is None else has_candidate(record, self._places)
