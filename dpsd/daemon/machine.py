"""The daemon, as a state machine.

    LOCKING --locked--> LOADING --loaded--> RECOVERING --recovered--> CHOOSING <--+
                                                                       |    |     |
                                  judged: there is a record that holds |    | else|
                                                                       v    v     |
                     KEEPING (writes down what is not yet on disk) <---+  ATTEMPTING <--registered, kept--> NOTING
                        |kept     ^                                       |    |  |
                        v         +-----------------done------------------+    |  |failed
                     PUBLISHING --published--> FLAGGING --flagged--> READY     |  v
                                                                       |       | WAITING
                                                                       v       v  v
                                       a moment, a changed file, a route, the clock, a signal --> CHOOSING

`hindered` leads to WAITING from wherever the disk is used. Without the lock it is LOCKING that is tried again. Where
the hub of a record that holds is still to be tried, OWING comes before ATTEMPTING, in the place of KEEPING. A signal
that asks for the end leads to ENDED.

House rules: everything that moves the machine is in this file, and it knows no file, no clock, no process and no
signal. A method takes what happened and returns the actions to be done, in order. An action that is answered names the
methods that its outcome goes to; it stands last, and nothing else happens before its answer. Between two events, the
loop sleeps until `moment`, and hears of routes if `hears_routes`.

A problem of the configuration class does not take away what an earlier boot achieved: with a record on disk the device
is ready by it, and STATUS= says what is wrong. Nor does a new credential in the place of the old that cannot register.
Any other doubt about the binding is settled before READY=1.

What is newly sealed or imported, the candidate, is tried once the device is ready by the present credential, and again
after the time that the class of what went wrong gives. Where the present one is refused or unusable, they take turns.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import NamedTuple

from dpsd.daemon import actions as do
from dpsd.daemon.actions import Actions
from dpsd.errors import EXIT_DONE, NOT_FAILED, ONE_TRY, Problem, Retry
from dpsd.protocol.retry import Failures, choose_delay
from dpsd.state.messages import Carry, Event, Orders, Registered, Renewed, Step, Watch
from dpsd.state.record import Details, Record, differences, updated
from dpsd.state.trial import PRESENT, Trial

LOOK_INTERVAL = 2
"""Seconds between two looks at files and clock while waiting."""
READY_LOOK_INTERVAL = 30
"""Seconds between two looks at the files of an assignment, and at the end of its certificate: a few calls of stat, and
no more often than the watchdog wakes the daemon anyway."""
RECHECK_INTERVAL = 300
"""Seconds until files are judged again although none changed: a folder above them may have."""
REFRESH_INTERVAL = 10
"""Seconds between two refreshes of STATUS= while waiting."""
ROUTE_PAUSE = (1, 5)
"""Seconds, from and to, between a route that comes up and the next attempt: addresses and name servers follow it, and
boards behind one switch do not all start at once."""
_NOT_OPENED = frozenset({"key-source-failed", "key-helper-unreachable", "firmware-failed"})
"""Codes that mend themselves, or not: the credential cannot be opened for now, and nobody was asked."""


class State(enum.Enum):
    LOCKING = "locking"
    LOADING = "loading"
    RECOVERING = "recovering"
    CHOOSING = "choosing"
    KEEPING = "keeping"
    OWING = "owing"
    PUBLISHING = "publishing"
    FLAGGING = "flagging"
    ATTEMPTING = "attempting"
    NOTING = "noting"
    WAITING = "waiting"
    READY = "ready"
    ENDED = "ended"


class Request(enum.Enum):
    """What a signal asks for."""

    END = "end"
    START_AFRESH = "start afresh"
    CHECK_HUB = "check the hub"
    REGISTER = "register"


class World(NamedTuple):
    """What an event finds when the machine has to decide.

    now: seconds of the monotonic clock. lot: a fraction in [0, 1), drawn for this event. holds: `record` was made on
    this board, and agents have in memory what it promises them. waiting: what waits to take the place of what made
    `record`, `PRESENT` where nothing does.
    """

    now: float
    lot: float
    holds: bool = False
    waiting: Trial = PRESENT


class Wait(NamedTuple):
    """problem: what is being waited out. until: when the next attempt is due, None for a change of a file. recheck:
    when it is due without a change. refresh: when STATUS= is. All are moments of the monotonic clock.
    """

    problem: Problem | None = None
    until: float | None = None
    recheck: float | None = None
    refresh: float = 0
    hears_routes: bool = False

    @property
    def moment(self) -> float | None:
        """When it is over by itself, None for never."""
        return self.recheck if self.until is None else self.until


NO_WAIT = Wait()


class Turn(NamedTuple):
    """Whose turn it is. of_candidate: the last attempt was the candidate's. candidate_next: the next one is, if there
    is one then. present_holds: the device is ready by the present credential."""

    of_candidate: bool = False
    candidate_next: bool = False
    present_holds: bool = False


class Machine:
    """started: when the daemon started, in seconds of the boot clock. supervised: a service manager is told; a daemon
    in the foreground ends with a problem that waiting cannot mend.

    Its fields are all there is to it, and plain values. record: what is on disk. unpublished: a record that makes the
    device ready without an attempt, if the files are still those it was made of. staying: the problem in spite of which
    the device becomes ready by its record. forced: the next attempt registers whatever the record says, and is the
    present credential's. carry: what the last attempt left for the next.
    """

    def __init__(self, started: float, *, supervised: bool) -> None:
        self.state = State.LOCKING
        self.started = started
        self.supervised = supervised
        self.has_lock = False
        self.ready = False
        self.record: Record | None = None
        self.unpublished: Record | None = None
        self.staying: Problem | None = None
        self.first = True
        self.forced = False
        self.renewed = False
        self.carry = Carry()
        self.turn = Turn()
        self.failures = Failures()
        self.wait = NO_WAIT
        self.look_at: float | None = None

    @property
    def moment(self) -> float | None:
        """When `time_is` has something to do, in seconds of the monotonic clock; None only while an attempt runs."""
        return min((moment for moment in (self.wait.moment, self.look_at) if moment is not None), default=None)

    @property
    def hears_routes(self) -> bool:
        """Whether a route that comes up helps."""
        return self.wait.hears_routes

    # Starting

    def begin(self) -> Actions:
        self.state = State.LOCKING
        return [do.Lock()]

    def locked(self) -> Actions:
        self._move(State.LOCKING, State.LOADING)
        self.has_lock = True
        return [do.Load()]

    def loaded(self, record: Record | None) -> Actions:
        self._move(State.LOADING, State.RECOVERING)
        self.record = self.unpublished = record
        return [do.Recover(record)]

    def recovered(self) -> Actions:
        self._move(State.RECOVERING, State.CHOOSING)
        return [do.Judge(self.unpublished)]

    def hindered(self, problem: Problem, world: World) -> Actions:
        """The disk did not take, or give, what the last action asked for."""
        if problem.code != "state-unwritable":
            self.unpublished = None
        if self.state is State.NOTING:
            self.state = State.ATTEMPTING
            return [do.EndAttempt(), *self.failed(problem, world)]
        if self.staying is not None:
            self.staying = None
            return self._wait(problem, world)
        return self._fail(problem, world)

    # Attempts

    def judged(self, holds: bool, world: World) -> Actions:
        """The unpublished record, if there is one, holds as `Judge` asks, or does not."""
        self._expect(State.CHOOSING)
        if self.unpublished is None or not holds:
            return self._start_attempt(world)
        return self._try_hub(self.unpublished, world) if self.carry.check_hub else self._keep(self.unpublished)

    def said(self, event: Event) -> Actions:
        """The attempt said something while it runs."""
        self._expect(State.ATTEMPTING)
        if isinstance(event, Step):
            return [do.ShowStep(event.text)]
        if isinstance(event, Watch):
            return [do.WatchFiles(event.signatures)]
        if isinstance(event, Carry):
            self.carry = event
        if isinstance(event, Renewed):
            self.renewed = True
        return self._note(event.record) if isinstance(event, Registered) else []

    def kept(self, world: World) -> Actions:
        """The unpublished record is on disk: a power cut does not lose it, and no earlier one takes its place again.

        One whose hub is to be tried is published once that takes the device.
        """
        self._expect(State.KEEPING, State.NOTING, State.OWING)
        self.record, self.renewed = self.unpublished, False
        if self.state is State.KEEPING and self.record is not None:
            return self._publish(self.record)
        self.unpublished = None
        if self.state is State.OWING:
            return self._start_attempt(world)
        self.state = State.ATTEMPTING
        return []

    def done(self, record: Record) -> Actions:
        """The attempt has made a record."""
        self._expect(State.ATTEMPTING)
        self.unpublished, self.forced = record, False
        return [do.CountOutcome(), *self._keep(record)]

    def failed(self, problem: Problem, world: World) -> Actions:
        """The attempt ended, or could not be started, and made no record."""
        self._expect(State.ATTEMPTING)
        return [do.CountOutcome(), *self._fail(problem, world)]

    def _start_attempt(self, world: World) -> Actions:
        """Start one. Of what another credential's attempt left, only the transport counts."""
        trial = world.waiting if self.turn.candidate_next and not self.forced else PRESENT
        of_candidate = trial != PRESENT
        if of_candidate != self.turn.of_candidate:
            self.carry = Carry(transport=self.carry.transport)
        orders = Orders(self.forced, self.first, self.started, self.carry, trial)
        self.turn = self.turn._replace(of_candidate=of_candidate)
        self.state, self.first, self.renewed = State.ATTEMPTING, False, False
        return [do.StartAttempt(orders)]

    def _note(self, record: Record) -> Actions:
        """Keep a new assignment over a power cut while its hub is tried; agents learn of it after that."""
        self.state, self.unpublished = State.NOTING, record
        return [do.Keep(record)]

    def _try_hub(self, record: Record, world: World) -> Actions:
        """Let an attempt try the hub of a record that could not be written down before."""
        if record == self.record:
            return self._start_attempt(world)
        self.state = State.OWING
        return [do.Keep(record)]

    # Becoming ready

    def published(self) -> Actions:
        self._move(State.PUBLISHING, State.FLAGGING)
        return [do.RaiseFlag()]

    def flagged(self, world: World) -> Actions:
        """The device is ready: files first, then the flag, then READY=1. What was a candidate is in force now."""
        self._move(State.FLAGGING, State.READY)
        assert self.record is not None
        self.ready, self.failures, self.wait = True, Failures(), NO_WAIT
        self.look_at = world.now + READY_LOOK_INTERVAL
        actions = _ready_actions(self.record)
        if self.staying is not None:
            problem, self.staying = self.staying, None
            return actions + self._wait(problem, world)
        self.unpublished = None
        self.carry = self.carry if self.carry.check_hub else Carry()
        self.turn = self.turn._replace(of_candidate=False)
        return [*actions, do.WriteHistory(None), do.LookAround(self.record)]

    def seen(self, unchanged: bool, details: Details, world: World) -> Actions:
        """What is new about board and card is told once, and written down then; another attempt may be due at once."""
        self._expect(State.READY)
        assert self.record is not None
        if not self.carry.check_hub:
            self.turn = self.turn._replace(candidate_next=world.waiting != PRESENT, present_holds=True)
        if self.forced or self.carry.check_hub or self.turn.candidate_next:
            self.wait = Wait(until=world.now)
        elif not unchanged:
            self.wait = Wait(until=world.now + LOOK_INTERVAL)
        return self._compare(self.record, updated(self.record.details, details))

    def _keep(self, record: Record) -> Actions:
        """Write down a record that is not on disk, and publish it."""
        if record == self.record:
            return self._publish(record)
        self.state = State.KEEPING
        return [do.Keep(record)]

    def _publish(self, record: Record) -> Actions:
        self.state = State.PUBLISHING
        return [do.Publish(record)]

    def _compare(self, record: Record, details: Details) -> Actions:
        if details == record.details:
            return []
        self.record = record._replace(details=details)
        notices = [do.Log(sentence, is_notice=True) for sentence in differences(record.details, details)]
        return [*notices, do.ShowBoard(record.binding.board, details), do.WriteDetails(self.record)]

    # Waiting

    def time_is(self, now: float) -> Actions:
        """Do what is due first; what else is due follows, once signals and the attempt have been heard again."""
        moment = self.moment
        if moment is None or now < moment:
            return []
        return self._try_again() if moment == self.wait.moment else self._look(now)

    def looked(self, files_changed: bool, clock_was_set: bool, now: float) -> Actions:
        """Try again when something changed that decides; while waiting, keep STATUS= fresh."""
        problem = self.wait.problem
        if files_changed:
            if problem is not None:
                self._begin_anew()
            return self._try_again()
        if problem is None:
            return []
        if clock_was_set and problem.code not in ONE_TRY:
            return self._try_again()
        return self._refresh(problem, now)

    def route_came_up(self, now: float, lot: float) -> Actions:
        """A route shortens the wait, once."""
        shortest, longest = ROUTE_PAUSE
        soon = now + shortest + (longest - shortest) * lot
        self.wait = self.wait._replace(hears_routes=False)
        if self.wait.until is None or self.wait.until <= soon:
            return []
        self.wait = self.wait._replace(until=soon)
        return [do.Log("a route came up: trying again soon")]

    def _fail(self, problem: Problem, world: World) -> Actions:
        """Decide what follows a problem: the earlier assignment where it holds here, or a wait."""
        stays = problem.kind.retry is Retry.CONFIGURATION or self.renewed
        if stays and self.record is not None and not self.ready and world.holds:
            self.staying = problem
            return self._publish(self.record)
        return self._wait(problem, world)

    def _wait(self, problem: Problem, world: World) -> Actions:
        """Wait for a moment or a change, or in the foreground end."""
        self.state, self.failures = State.WAITING, self.failures.after(problem)
        at_once = self._gives_turn(problem, world)
        seconds = 0.0 if at_once else choose_delay(problem, self.failures.of(problem), world.lot)
        self.look_at = world.now
        self.wait = Wait(
            problem,
            until=None if seconds is None else world.now + seconds,
            recheck=None if problem.code in ONE_TRY else world.now + RECHECK_INTERVAL,
            refresh=world.now + REFRESH_INTERVAL,
            hears_routes=problem.kind.retry in (Retry.NETWORK, Retry.CLOCK),
        )
        noted = self.has_lock and problem.code not in NOT_FAILED
        noting: Actions = [do.WriteHistory(problem)] if noted else []
        return [do.ShowFailure(problem, seconds), *noting, *self._ready_or_hopeless(problem)]

    def _ready_or_hopeless(self, problem: Problem) -> Actions:
        if self.ready:
            return [do.TellReady()]
        hopeless = problem.kind.retry is Retry.CONFIGURATION or not self.has_lock
        return self._end(problem.kind.exit_status) if hopeless and not self.supervised else []

    def _gives_turn(self, problem: Problem, world: World) -> bool:
        """Tell whether the candidate is to be tried at once, in the place of the present one that failed."""
        if problem.kind.retry not in (Retry.REFUSED, Retry.CONFIGURATION) and problem.code not in _NOT_OPENED:
            return False
        candidate_next = self.turn.present_holds or not self.turn.of_candidate
        self.turn = self.turn._replace(candidate_next=candidate_next)
        return candidate_next and not self.turn.of_candidate and world.waiting != PRESENT

    def _look(self, now: float) -> Actions:
        waits = self.state is State.WAITING
        self.look_at = now + (LOOK_INTERVAL if waits else READY_LOOK_INTERVAL)
        showing: Actions = [] if not self.ready or self.record is None else [do.ShowCertificate(self.record.validity)]
        return [*showing, do.Look()] if waits or self.state is State.READY else showing

    def _refresh(self, problem: Problem, now: float) -> Actions:
        if now < self.wait.refresh:
            return []
        self.wait = self.wait._replace(refresh=now + REFRESH_INTERVAL)
        return [do.ShowWaiting(problem, None if self.wait.until is None else self.wait.until - now)]

    def _try_again(self) -> Actions:
        self.wait = NO_WAIT
        if not self.has_lock:
            return self.begin()
        self.state = State.CHOOSING
        return [do.Judge(self.unpublished)]

    def _begin_anew(self) -> None:
        """Something changed: the present credential comes first, with an operation of its own."""
        self.carry = self.carry._replace(operation_id=None)
        self.turn = Turn(of_candidate=self.turn.of_candidate)

    # Signals

    def signalled(self, requests: Collection[Request]) -> Actions:
        """Act once on however many came: the end first, then all that the others ask for.

        A running attempt knows nothing of what changed, so it is ended. A hub that is to be checked is owed, as after a
        registration: DPS is asked again only once the hub has refused the device for long.
        """
        if Request.END in requests:
            return self._end(EXIT_DONE)
        self.forced = self.forced or Request.REGISTER in requests
        reloads = self.ready and not self.forced and Request.START_AFRESH in requests
        reloading: Actions = [do.TellReloading()] if reloads else []
        ending: Actions = [do.EndAttempt()] if self.state is State.ATTEMPTING else []
        self._begin_anew()
        if Request.CHECK_HUB in requests:
            self._owe_hub()
        self.failures = Failures()
        return [*reloading, *ending, *self._try_again()]

    def _owe_hub(self) -> None:
        """The next attempt is the present credential's, and tries its hub."""
        if self.turn.of_candidate:
            self.carry = Carry(transport=self.carry.transport)
        self.carry, self.turn = self.carry._replace(check_hub=True), Turn()

    def _end(self, exit_status: int) -> Actions:
        ending: Actions = [do.EndAttempt()] if self.state is State.ATTEMPTING else []
        self.state, self.wait, self.look_at = State.ENDED, NO_WAIT, None
        return [do.TellStopping(), *ending, do.ShowStopped(), do.Exit(exit_status)]

    def _move(self, expected: State, to: State) -> None:
        self._expect(expected)
        self.state = to

    def _expect(self, *expected: State) -> None:
        if self.state not in expected:
            raise AssertionError(f"the daemon is {self.state.value}, not {expected[0].value}")


def _ready_actions(record: Record) -> Actions:
    connection = record.connection
    return [
        do.ShowProvisioned(connection.iothub_hostname, connection.device_id),
        do.TellReady(),
        do.ShowCertificate(record.validity),
        do.ShowBoard(record.binding.board, record.details),
    ]
