"""From what a peer asks of the token door to the bytes that it gets, and to the lines for the journal."""

from __future__ import annotations

import time
import traceback
from http import HTTPStatus
from typing import NamedTuple

from dpsd.doors import token
from dpsd.doors.device import Device
from dpsd.doors.http import EVENTS, encode_head
from dpsd.doors.recheck import order_recheck
from dpsd.doors.tally import PERIOD, Tally
from dpsd.doors.who import Peer, check_allowed
from dpsd.errors import Problem
from dpsd.state.places import Places
from dpsd.system.clock import wall_clock
from dpsd.system.journal import NOTICE, log


class Answer(NamedTuple):
    """is_done: what was asked is done, rather than answered with a problem."""

    data: bytes
    is_done: bool = True


class Answers:
    """Answers whoever may ask; the device is opened when that is needed."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._device = Device(places)
        self._tally = Tally()

    def answer(self, ask: token.Ask, peer: Peer) -> Answer:
        """Do what is asked. A problem is an answer, and so is an error of this program: the next request is another."""
        try:
            self._check_peer(peer)
            return Answer(self._do(ask, peer))
        except Problem as problem:
            return Answer(token.answer_problem(problem), is_done=False)
        except Exception:
            traceback.print_exc()
            failure = Problem("worker-failed", "the token door has failed")
            return Answer(token.answer_problem(failure), is_done=False)

    def published(self) -> bytes | None:
        """Return the text of connection.json, None where there is no connection."""
        try:
            return self._device.document()
        except Problem:
            return None

    def forget_key(self) -> None:
        self._device.forget()

    def report_counts(self, now: float, period: float = PERIOD) -> None:
        """Write the lines that are due to the journal; with a period of 0, all. now: by the monotonic clock."""
        self._tally, lines = self._tally.flush(now, period)
        self._write(lines)

    def _check_peer(self, peer: Peer) -> None:
        try:
            check_allowed(peer, self._device.config().doors)
        except Problem as problem:
            if problem.code == "door-refused":
                self._note(f"token door: refused to {peer}")
            raise

    def _do(self, ask: token.Ask, peer: Peer) -> bytes:
        if isinstance(ask, token.GiveToken):
            prover = self._device.prover()
            granted = token.grant(prover.record.connection, prover.key.sign, ask.ttl, wall_clock())
            self._note(f"token for {peer}", f", for {ask.ttl} s")
            return token.answer_grant(granted, ask.as_text)
        if isinstance(ask, token.Recheck):
            self._device.document()
            order_recheck(self._places, peer, self._device.config().hub.reprovision_after)
            self._note(f"recheck asked for by {peer}")
            return token.answer_recheck()
        if isinstance(ask, token.Follow):
            return encode_head(HTTPStatus.OK, EVENTS)
        return token.answer_identity(self._device.document())

    def _note(self, what: str, detail: str = "") -> None:
        self._tally, lines = self._tally.note(what, time.monotonic(), detail)
        self._write(lines)

    def _write(self, lines: list[str]) -> None:
        for line in lines:
            log(NOTICE, line)
