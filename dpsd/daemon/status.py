"""What the daemon is doing, told to everybody who asks: STATUS=, the journal, and status.json."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from dpsd.errors import Problem, encode_problem
from dpsd.shape import ShapeError, parse_object
from dpsd.state.places import Runtime
from dpsd.state.record import Details, Validity
from dpsd.system.clock import boot_clock, format_time, wall_clock
from dpsd.system.files import load, replace
from dpsd.system.journal import INFO, NOTICE, log, log_problem
from dpsd.system.notify import Notifier


class Status:
    """The current state. `finished` counts attempts, so that a reader can tell a new outcome from an old one."""

    def __init__(self, runtime: Runtime, notifier: Notifier) -> None:
        self._path = runtime.status
        self._owned = False
        self._notifier = notifier
        self._said = ""
        self._near: Problem | None = None
        self._document: dict[str, Any] = {
            "version": 1,
            "pid": os.getpid(),
            "state": "starting",
            "step": "starting",
            "since": format_time(wall_clock()),
            "provisioned": False,
            "attempt": 0,
            "finished": 0,
            "problem": None,
            "next_try": None,
            "certificate": None,
            "board": None,
        }

    def own(self) -> None:
        """From now on this process holds the state directory: the status file is its own.

        What an earlier daemon of this boot said of the certificate is known from there, and not logged again.
        """
        self._owned = True
        self._document["certificate"] = _earlier_certificate(self._path)

    def certificate(self, validity: Validity | None) -> None:
        """Tell when the certificate ends, and that the end is near; a threshold that is reached is logged once."""
        near = None if validity is None else nearing(validity, wall_clock())
        before, told = self._document["certificate"], _certificate(validity, near)
        problem = None if near is None else near.problem
        if str(problem) != str(self._near):
            self._near = problem
            self._show()
        if near is not None and _threshold(told) != _threshold(before):
            log_problem(near.problem)
        if told != before:
            self._change(certificate=told)

    def board(self, serial_number: str, details: Details) -> None:
        """Tell which board and card this is."""
        told = {"serial_number": serial_number, "model": details.model, "card": details.card}
        if told != self._document["board"]:
            self._change(board=told)

    def start_attempt(self) -> int:
        """Tell that an attempt begins, and return its number, from 1."""
        number: int = self._document["attempt"] + 1
        self._change(state="attempting", step="starting", attempt=number, next_try=None)
        return number

    def finish_attempt(self) -> None:
        """Count an attempt that has an outcome, which is told next."""
        self._document["finished"] += 1

    def step(self, text: str) -> None:
        """Tell what the running attempt does now."""
        number = self._document["attempt"]
        self._tell(f"{text} (attempt {number})")
        self._change(step=text)

    def provisioned(self, hub: str, device_id: str) -> None:
        self._tell(f"provisioned: {device_id} at {hub}", NOTICE)
        self._change(state="provisioned", step="provisioned", provisioned=True, problem=None, next_try=None)

    def failed(self, problem: Problem, delay: float | None) -> None:
        """Tell what went wrong and what happens next; delay: seconds, None for "when a file changes"."""
        log_problem(problem)
        log(INFO, self._next(delay))
        when = None if delay is None else {"boottime": boot_clock() + delay, "at": format_time(wall_clock() + delay)}
        state = "waiting" if not self._document["provisioned"] else "provisioned"
        self._change(state=state, step=self._next(delay), problem=encode_problem(problem), next_try=when)
        self.waiting(problem, delay)

    def waiting(self, problem: Problem, delay: float | None) -> None:
        """Refresh STATUS= with the seconds that are left."""
        kept = "provisioned by an earlier assignment; " if self._document["provisioned"] else ""
        self._said = f"{kept}{self._next(delay)}; {problem}"
        self._show()

    def stopped(self) -> None:
        self._said = "stopped"
        self._show()
        self._change(state="stopped", step="stopped", next_try=None)

    def _next(self, delay: float | None) -> str:
        following = self._document["attempt"] + 1
        if delay is None:
            return "waiting for a change of the configuration or the credential"
        return f"waiting, attempt {following} in {max(0, round(delay))} s"

    def _tell(self, text: str, priority: int = INFO) -> None:
        log(priority, text)
        self._said = text
        self._show()

    def _show(self) -> None:
        """Tell systemd; that the certificate's end is near is not said twice."""
        near = self._near
        is_said = near is None or f"{near.code}: " in self._said
        self._notifier.send_status(self._said if is_said else f"{self._said}; {near}")

    def _change(self, **values: Any) -> None:
        if values.get("state", self._document["state"]) != self._document["state"]:
            values["since"] = format_time(wall_clock())
        self._document |= values
        if not self._owned:
            return
        try:
            replace(self._path, json.dumps(self._document, indent=1).encode() + b"\n", 0o644)
        except Problem as problem:
            log_problem(problem)


def _certificate(validity: Validity | None, near: Nearing | None) -> dict[str, Any] | None:
    if validity is None:
        return None
    threshold, problem = (None, None) if near is None else (near.threshold, encode_problem(near.problem))
    return {"not_after": format_time(validity.not_after), "threshold": threshold, "problem": problem}


def _threshold(told: dict[str, Any] | None) -> tuple[Any, Any]:
    """Return which threshold of which certificate was told."""
    return (None, None) if told is None else (told.get("not_after"), told.get("threshold"))


def _earlier_certificate(path: str) -> dict[str, Any] | None:
    try:
        found = parse_object(load(path) or b"").optional_table("certificate")
    except ShapeError:
        return None
    return None if found is None else dict(found.values)


# A clock that shows a moment before the certificate's first day is wrong, and judges nothing. A clock that is merely
# late makes a warning late; the next look after it was set makes up for that.
THRESHOLDS = (1, 7, 30)
"""Days before the end at which people are told, each time once."""
_DAY = 24 * 3600


class Nearing(NamedTuple):
    """threshold: the days of `THRESHOLDS` that have been reached, 0 for a certificate that has expired."""

    threshold: int
    problem: Problem


def nearing(validity: Validity, now: float) -> Nearing | None:
    """Return what is to be said of the certificate, None while there is no need; now: seconds since 1970."""
    days, end = (validity.not_after - now) / _DAY, format_time(validity.not_after)
    if now < validity.not_before or days > THRESHOLDS[-1]:
        return None
    if days < 0:
        said = f"the device certificate expired at {end}, the clock says {format_time(now)[:10]}"
        return Nearing(0, Problem("certificate-expired", said))
    threshold = next(one for one in THRESHOLDS if days <= one)
    return Nearing(threshold, Problem("certificate-ends-soon", f"the device certificate ends at {end}, {_left(days)}"))


def _left(days: float) -> str:
    return "in less than a day" if days < 1 else f"in {int(days)} day{'s' if days >= 2 else ''}"
