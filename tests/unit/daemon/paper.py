"""A daemon on paper: its machine, in a world that does what the machine says and keeps count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dpsd.daemon import actions as do
from dpsd.daemon.actions import Action, Actions
from dpsd.daemon.machine import Machine, Request, World
from dpsd.errors import Problem
from dpsd.state.messages import Event, Orders
from dpsd.state.record import Details, Record
from dpsd.state.trial import PRESENT, Trial
from tests.unit.examples import CONNECTION, RECORD

WAITING = Trial({"/there": "/here"}, "newly sealed credential")
STARTED = 7.0
"""Seconds of the boot clock."""


def record_of(number: int) -> Record:
    """A record like no other's number."""
    return RECORD._replace(connection=CONNECTION._replace(device_id=f"pi-{number}"))


class Paper:
    """disk, published, flag: the record, what agents read, and whether they are told. worker: the orders of the attempt
    that runs. failing: what goes wrong with an action, by its kind. today: the record that is judged holds, and its
    files are the same; unchanged: those of a published one are."""

    def __init__(self, record: Record | None = None, *, supervised: bool = True) -> None:
        self.machine = Machine(STARTED, supervised=supervised)
        self.now = 1000.0
        self.lot = 0.5
        self.disk = record
        self.published: Record | None = None
        self.flag = False
        self.worker: Orders | None = None
        self.failing: dict[type[Action], Problem] = {}
        self.holds = self.today = self.unchanged = True
        self.details = Details()
        self.waiting = PRESENT
        self.files_changed = self.clock_was_set = False
        self.exit_status: int | None = None
        self.said: Actions = []

    def world(self) -> World:
        return World(self.now, self.lot, self.machine.record is not None and self.holds, self.waiting)

    # What happens

    def begin(self) -> Actions:
        return self.tell(self.machine.begin())

    def sleep(self) -> Actions:
        """Let time pass until the machine is to be woken."""
        assert self.machine.moment is not None
        self.now = max(self.now, self.machine.moment)
        return self.tell(self.machine.time_is(self.now))

    def sleep_until(self, kind: type[Action], within: float = 10_000) -> Actions:
        """Let time pass until the machine says this."""
        end = self.now + within
        while self.now <= end:
            if of(self.sleep(), kind):
                return self.said
        raise AssertionError(f"{kind.__name__} was not said within {within} s")

    def says(self, event: Event) -> Actions:
        return self.tell(self.machine.said(event))

    def makes(self, record: Record) -> Actions:
        """Let the attempt end with a record."""
        self.worker = None
        return self.tell(self.machine.done(record))

    def fails(self, problem: Problem | str) -> Actions:
        """Let the attempt end with a problem."""
        self.worker = None
        known = Problem(problem, "said") if isinstance(problem, str) else problem
        return self.tell(self.machine.failed(known, self.world()))

    def signal(self, *requests: Request) -> Actions:
        return self.tell(self.machine.signalled(requests))

    def route(self) -> Actions:
        return self.tell(self.machine.route_came_up(self.now, self.lot))

    def tell(self, actions: Actions) -> Actions:
        """Do what the machine says to an event; return it, with all that it says to the answers."""
        self.said = []
        self._do(actions)
        return self.said

    # What the machine says

    def _do(self, actions: Actions) -> None:
        for action in actions:
            self.said.append(action)
            answer = self._answer(action)
            assert answer is None or action is actions[-1], f"{action} is answered, and not the last"
            self._do(answer or [])

    def _answer(self, action: Action) -> Actions | None:
        problem = self.failing.get(type(action))
        if problem is not None and isinstance(action, do.StartAttempt):
            return self.machine.failed(problem, self.world())
        if problem is not None:
            return self.machine.hindered(problem, self.world())
        hand = self._hands().get(type(action))
        answer = None if hand is None else hand(*action)
        return answer if isinstance(answer, list) else None

    def _hands(self) -> dict[type[Action], Callable[..., Any]]:
        machine = self.machine
        return {
            do.Lock: machine.locked,
            do.Load: lambda: machine.loaded(self.disk),
            do.Recover: self._recover,
            do.Judge: self._judge,
            do.Keep: self._keep,
            do.Publish: self._publish,
            do.RaiseFlag: self._raise_flag,
            do.LookAround: self._look_around,
            do.Look: lambda: machine.looked(self.files_changed, self.clock_was_set, self.now),
            do.StartAttempt: self._start,
            do.EndAttempt: self._end,
            do.TellReady: self._ready,
            do.Exit: self._exit,
        }

    def _recover(self, record: Record | None) -> Actions:
        assert record == self.disk
        self.flag = self.flag and record is not None
        return self.machine.recovered()

    def _judge(self, record: Record | None) -> Actions:
        if record is not None:
            self._remember()
        return self.machine.judged(self.today and record is not None, self.world())

    def _keep(self, record: Record) -> Actions:
        self.disk = record
        return self.machine.kept(self.world())

    def _publish(self, record: Record) -> Actions:
        assert bare(record) == bare(self.disk), "what is published is on disk first"
        self.published = record
        return self.machine.published()

    def _raise_flag(self) -> Actions:
        assert self.published == self.machine.record, "the flag says that agents can read the record"
        self.flag = True
        return self.machine.flagged(self.world())

    def _look_around(self, record: Record) -> Actions:
        assert bare(record) == bare(self.disk)
        self._remember()
        return self.machine.seen(self.unchanged, self.details, self.world())

    def _start(self, orders: Orders) -> None:
        assert self.worker is None, "never two workers"
        self._remember()
        self.worker = orders

    def _end(self) -> None:
        assert self.worker is not None
        self.worker = None

    def _ready(self) -> None:
        assert self.flag and self.published is not None, "READY=1 means that the files are on disk"

    def _exit(self, status: int) -> None:
        assert self.worker is None
        self.exit_status = status

    def _remember(self) -> None:
        self.files_changed = self.clock_was_set = False


def bare(record: Record | None) -> Record | None:
    """The record without what decides nothing."""
    return None if record is None else record._replace(details=Details())


def of(said: Actions, kind: type[Action]) -> list[Any]:
    """The actions of a kind, in order."""
    return [action for action in said if isinstance(action, kind)]


def kinds(said: Actions) -> list[type[Action]]:
    return [type(action) for action in said]
