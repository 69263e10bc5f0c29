"""What the next attempt is told, and whose turn it is: that of the credential and settings in force, or that of newly
sealed and imported ones, the candidate.

The candidate is tried once the device is ready by the present credential, and again after the time that the class of
what went wrong gives. Where the present one is refused or unusable, they take turns.
"""

from __future__ import annotations

from dpsd.errors import Problem, Retry
from dpsd.provisioning.candidate import exists, has_candidate, waiting_trial
from dpsd.state.messages import Carry, Orders
from dpsd.state.places import Places
from dpsd.state.record import Record
from dpsd.state.trial import PRESENT
from dpsd.system.clock import boot_clock

_NOT_OPENED = frozenset({"key-source-failed", "key-helper-unreachable", "firmware-failed"})
"""Codes that mend themselves, or not: the credential cannot be opened for now, and nobody was asked."""


class Turns:
    """carry: what the last attempt left for the next. forced: the next registers whatever the record says, and is the
    present credential's."""

    def __init__(self, places: Places) -> None:
        self.carry = Carry()
        self.forced = False
        self._places = places
        self._started = boot_clock()
        self._is_candidates = False
        self._next = False
        self._present_holds = False

    def take(self, record: Record | None, *, first: bool) -> Orders:
        """Return the orders of the next attempt. Of what another credential's attempt left, only the transport counts.

        first: it is the first since the daemon's start.
        """
        before = self._is_candidates
        self._is_candidates = self._next and not self.forced and self._waits(record)
        if self._is_candidates != before:
            self.carry = Carry(transport=self.carry.transport)
        trial = waiting_trial(self._places) if self._is_candidates else PRESENT
        return Orders(self.forced, first, self._started, self.carry, trial)

    def settle(self) -> None:
        """The last attempt did what it was to do, but for trying the hub where that is still owed: what was a candidate
        is in force."""
        self._is_candidates = False
        self.carry, self.forced = self.carry if self.carry.check_hub else Carry(), False

    def hold(self, record: Record) -> bool:
        """The device is ready by this record; tell whether an attempt is due: for its hub, or with a candidate."""
        if self.carry.check_hub:
            return True
        self._present_holds, self._next = True, has_candidate(record, self._places)
        return self._next

    def fail(self, problem: Problem, record: Record | None) -> bool:
        """An attempt failed; tell whether the candidate is to be tried at once, in the place of the present one."""
        if problem.kind.retry not in (Retry.REFUSED, Retry.CONFIGURATION) and problem.code not in _NOT_OPENED:
            return False
        self._next = self._present_holds or not self._is_candidates
        return self._next and not self._is_candidates and self._waits(record)

    def begin_anew(self) -> None:
        """Something changed: the present credential comes first, with an operation of its own."""
        self.carry = self.carry._replace(operation_id=None)
        self._next = self._present_holds = False

    def _waits(self, record: Record | None) -> bool:
        return exists(self._places) if record is None else has_candidate(record, self._places)
