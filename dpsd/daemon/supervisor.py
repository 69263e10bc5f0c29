"""The daemon: the one module that knows the order of the house's line.

It keeps no connection open and holds no key: everything that needs one happens in a worker process, and this one waits
in a single loop for a signal, a worker's line, or a moment of the monotonic clock. At a warm boot no worker is started
at all: the record on disk is published, the flag raised and systemd told.

    _begin --record holds--> ready                   (published, READY=1)
      |                        ^  |
      +--> attempting --Done---+  +-- SIGHUP, SIGUSR1, changed file --> attempting
             |    ^
           Failed |  a moment, a changed file or a signal
             v    |
            waiting

Each state is entered by one function: `_start_attempt`, `_become_ready`, `_wait`. `_finish` is where an attempt ends.

A problem of the configuration class does not take away what an earlier boot achieved: with a record on disk the device
is ready by it, and STATUS= says what is wrong. Nor does a new credential in the place of the old that cannot register.
Any other doubt about the binding is settled before READY=1.

What is newly sealed or imported is tried in the background, see `turns`.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable

from dpsd.configuration.observed import configuration_files, unchanged
from dpsd.daemon.history import History
from dpsd.daemon.status import Status
from dpsd.daemon.turns import Turns
from dpsd.daemon.wait import LOOK_INTERVAL, Wait, from_now
from dpsd.daemon.worker import Worker
from dpsd.errors import EXIT_DONE, NOT_FAILED, Problem, Retry
from dpsd.provisioning.candidate import promote
from dpsd.provisioning.publish import keep, lower_flag, prepare_folders, publish, raise_flag
from dpsd.provisioning.record_file import is_released, load_record
from dpsd.state.messages import Carry, Event, Registered, Renewed, Step, Watch, encode_orders
from dpsd.state.places import Places
from dpsd.state.record import Record, differences, same_board, updated
from dpsd.system.board import read_board_details, read_serial
from dpsd.system.files import lock
from dpsd.system.journal import NOTICE, log, log_problem
from dpsd.system.notify import Notifier

REFRESH_INTERVAL = 10
"""Seconds between two refreshes of STATUS= while waiting."""
READY_LOOK_INTERVAL = 30
"""Seconds between two looks at the files of an assignment, and at the end of its certificate: a few calls of stat, and
no more often than the watchdog wakes the daemon anyway."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Supervisor:
    """The daemon of one state directory. arguments: how a worker is started, after the program's own name."""

    def __init__(self, places: Places, notifier: Notifier, arguments: list[str]) -> None:
        self._places = places
        self._notifier = notifier
        self._arguments = arguments
        self._status = Status(places, notifier)
        self._history = History(places)
        self._selector = selectors.DefaultSelector()
        self._signals = _receive_signals()
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._locked = False
        self._record: Record | None = None
        self._unpublished: Record | None = None
        self._ready = False
        self._attempt: Worker | None = None
        self._renewed = False
        self._turns = Turns(places)
        self._waiting = Wait(self._selector)
        self._refresh_at = 0.0
        self._look_at: float | None = None
        self._ping_at = None if notifier.watchdog_interval is None else time.monotonic()
        self._exit_status: int | None = None

    def run(self) -> int:
        """Run until SIGTERM, or in the foreground until a problem that waiting cannot mend; return the exit status."""
        self._begin()
        while self._exit_status is None:
            moment, _ = self._first_timer()
            for key, _ in self._selector.select(max(0.0, moment - time.monotonic())):
                if key.fd == self._signals:
                    self._take_signals()
                    break  # what else was readable may belong to a worker that has just been ended
                if self._attempt is not None and key.fd == self._attempt.descriptor:
                    self._hear(self._attempt)
                self._waiting.hear(key.fd)
            self._act_on_time()
        self._stop()
        return self._exit_status

    def _act_on_time(self) -> None:
        """Do what is due first; what else is due follows, once signals and lines have been heard again."""
        moment, act = self._first_timer()
        if moment <= time.monotonic():
            act()

    def _first_timer(self) -> tuple[float, Callable[[], None]]:
        """Return what is to be done next, and when, in seconds of the monotonic clock.

        All timers stand here. What one of them starts has to move or end it. There always is one: who is ready or waits
        looks around, and an attempt has its deadline.
        """
        timers: list[tuple[float | None, Callable[[], None]]] = [
            (self._ping_at, self._ping),
            (from_now(self._history.seconds_until_due()), self._flush_history),
            (None if self._attempt is None else self._attempt.deadline, self._finish),
            (self._waiting.moment, self._try_again),
            (self._look_at, self._look),
        ]
        set_ones = [(moment, act) for moment, act in timers if moment is not None]
        return min(set_ones, key=lambda timer: timer[0])

    def _ping(self) -> None:
        self._notifier.send_watchdog()
        self._ping_at = from_now(self._notifier.watchdog_interval)

    # Starting

    def _begin(self) -> None:
        """Take the state directory; be ready by the record if nothing changed since it was made, else ask a worker."""
        try:
            prepare_folders(self._places)
            lock(self._places.lock)
            self._locked = True
            self._status.own()
            self._record, unreadable = load_record(self._places)
            if unreadable is not None:
                log_problem(unreadable)
            if self._record is None:
                lower_flag(self._places)
            else:
                promote(self._record, self._places)
            if self._record is not None and self._is_of_today(self._record):
                self._become_ready(self._record)
                self._history.succeeded()
                self._flush_history()
                self._compare_details(self._record)
                if self._turns.hold(self._record):
                    self._waiting.try_in(0)
            else:
                self._start_attempt()
        except Problem as problem:
            self._wait(problem)

    def _is_of_today(self, record: Record) -> bool:
        """Tell whether the record holds here, and was made of the files that count now, none changed since."""
        self._waiting.remember(list(record.inputs))
        of_these_files = set(self._places.configuration) <= record.inputs.keys()
        return self._holds_here(record) and of_these_files and unchanged(record.inputs)

    def _holds_here(self, record: Record) -> bool:
        """Tell whether the record was made on this board, and agents have what it promises them in memory, which only
        an attempt can put there."""
        return same_board(record.binding.board, read_serial()) and is_released(record, self._places)

    def _become_ready(self, record: Record) -> None:
        """Publish, raise the flag, tell systemd: in this order, since READY=1 means that the files are there."""
        publish(record, self._places)
        self._record = record
        raise_flag(self._places)
        self._ready = True
        self._status.provisioned(record.connection.iothub_hostname, record.connection.device_id)
        self._notifier.send_ready()
        self._waiting.end()
        self._waiting.forget_failures()
        self._look_at = from_now(READY_LOOK_INTERVAL)
        self._status.certificate(record.validity)
        self._status.board(record.binding.board, record.details)

    def _compare_details(self, record: Record) -> None:
        """Tell what is new about board and card, once: it is written down then. An attempt does that by itself."""
        details = updated(record.details, read_board_details(self._places.state))
        for sentence in differences(record.details, details):
            log(NOTICE, sentence)
        if details != record.details:
            self._record = record._replace(details=details)
            self._status.board(record.binding.board, details)
            self._note(self._record)

    def _note(self, record: Record) -> None:
        """Write down what is worth knowing; that it cannot be written changes nothing else."""
        try:
            keep(record, self._places)
        except Problem as unwritable:
            log_problem(unwritable)

    # Attempts

    def _start_attempt(self) -> None:
        self._waiting.end()
        self._renewed = False
        self._waiting.remember([*self._places.configuration, *configuration_files(self._places.configuration)])
        number = self._status.start_attempt()
        orders = self._turns.take(self._record, first=number == 1)
        try:
            self._attempt = Worker([*self._arguments, f"--orders={encode_orders(orders)}"], self._selector)
        except OSError as error:
            self._status.finish_attempt()
            self._wait(Problem("worker-failed", f"cannot start an attempt: {error.strerror}"))

    def _hear(self, attempt: Worker) -> None:
        """Act on what the attempt says, until it is ended for that."""
        events = attempt.take()
        if events is None:
            self._finish()
        for event in events or ():
            if self._attempt is not None:
                self._take_event(event)

    def _take_event(self, event: Event) -> None:
        if isinstance(event, Step):
            self._status.step(event.text)
        elif isinstance(event, Watch):
            self._waiting.watch(event.signatures)
        elif isinstance(event, Carry):
            self._turns.carry = event
        elif isinstance(event, Renewed):
            self._renewed = True
        elif isinstance(event, Registered):
            self._write_down(event.record)

    def _write_down(self, record: Record) -> None:
        """Keep a new assignment over a power cut while its hub is tried; agents learn of it after that."""
        try:
            keep(record, self._places)
        except Problem as problem:
            self._unpublished = record
            self._end_attempt()
            self._status.finish_attempt()
            self._wait(problem)
        else:
            self._record, self._renewed = record, False  # by this one the device is ready when its hub takes it

    def _end_attempt(self) -> None:
        """End the attempt that runs, if one does, whatever it would have come to."""
        if self._attempt is not None:
            self._attempt.end()
            self._attempt = None

    def _finish(self) -> None:
        """Act on the attempt's outcome; its process is waited for afterwards, being as good as gone."""
        assert self._attempt is not None
        attempt, self._attempt = self._attempt, None
        self._status.finish_attempt()
        try:
            self._publish(attempt.outcome())
        except Problem as problem:
            self._wait(problem)
        attempt.end(grace=1)

    def _publish(self, record: Record) -> None:
        """Become ready by a new record; one that the disk does not take is kept for the next try."""
        try:
            self._become_ready(record)
        except Problem as problem:
            self._unpublished = record if problem.code == "state-unwritable" else None
            raise
        self._history.succeeded()
        self._flush_history()
        self._unpublished = None
        self._turns.settle()
        self._waiting.remember(list(record.inputs))
        if self._turns.hold(record):
            self._waiting.try_in(0)
        elif not unchanged(record.inputs):
            self._waiting.try_in(LOOK_INTERVAL)

    # Waiting

    def _wait(self, problem: Problem) -> None:
        """Decide what follows a problem: a moment, a change, or in the foreground the end."""
        stays = problem.kind.retry is Retry.CONFIGURATION or self._renewed
        if stays and self._record is not None and not self._ready:
            problem = self._stay_with(self._record) or problem
        at_once = self._turns.fail(problem, self._record)
        delay = self._waiting.begin(problem, at_once=at_once)
        self._status.failed(problem, delay)
        self._look_at, self._refresh_at = from_now(0), time.monotonic() + REFRESH_INTERVAL
        if self._locked and problem.code not in NOT_FAILED:
            self._history.failed(problem)
            self._flush_history()
        hopeless = problem.kind.retry is Retry.CONFIGURATION or not self._locked
        if hopeless and not self._notifier.supervised and not self._ready:
            self._exit_status = problem.kind.exit_status
        if self._ready:
            self._notifier.send_ready()

    def _stay_with(self, record: Record) -> Problem | None:
        """Become ready by the earlier assignment where it holds here; return what prevents it then."""
        if not self._holds_here(record):
            return None
        try:
            self._become_ready(record)
        except Problem as problem:
            return problem
        return None

    def _flush_history(self) -> None:
        """Write the history if it is due; that it cannot be written changes nothing else."""
        try:
            self._history.flush()
        except Problem as unwritable:
            log_problem(unwritable)

    def _look(self) -> None:
        """See what changed: while waiting what may end that, while ready what an outside renewer has put in place, and
        whether the certificate's end has come near."""
        problem = self._waiting.problem
        self._look_at = from_now(READY_LOOK_INTERVAL if problem is None else LOOK_INTERVAL)
        if self._ready and self._record is not None:
            self._status.certificate(self._record.validity)
        if problem is not None:
            self._look_around(problem)
        elif self._attempt is None and self._waiting.is_idle and self._waiting.files_changed():
            self._try_again()

    def _look_around(self, problem: Problem) -> None:
        """While waiting: try again when something changed that decides, and keep STATUS= fresh."""
        now = time.monotonic()
        if self._waiting.files_changed():
            self._turns.begin_anew()
            self._try_again()
        elif self._waiting.clock_was_set():
            self._try_again()
        elif now >= self._refresh_at:
            self._refresh_at = now + REFRESH_INTERVAL
            self._status.waiting(problem, self._waiting.seconds_left())

    def _try_again(self) -> None:
        self._waiting.end()
        if not self._locked:
            self._begin()
        elif self._unpublished is not None and not self._turns.forced and self._is_of_today(self._unpublished):
            self._publish_again(self._unpublished)
        else:
            self._start_attempt()

    def _publish_again(self, record: Record) -> None:
        try:
            if self._turns.carry.check_hub:
                keep(record, self._places)
                self._record, self._unpublished = record, None
                self._start_attempt()
            else:
                self._publish(record)
        except Problem as problem:
            self._wait(problem)

    # Signals

    def _take_signals(self) -> None:
        """Act once on however many came: the end first, then the stronger of the two requests."""
        numbers = set(os.read(self._signals, 65536))
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self._exit_status = EXIT_DONE
        else:
            self._again(forced=self._turns.forced or signal.SIGUSR1 in numbers)

    def _again(self, *, forced: bool) -> None:
        """Start afresh now; a running attempt knows nothing of what changed, so it is ended."""
        if self._ready and not forced:
            self._notifier.send_reloading()
        self._end_attempt()
        self._turns.forced = forced
        self._turns.begin_anew()
        self._waiting.forget_failures()
        self._try_again()

    def _stop(self) -> None:
        self._notifier.send_stopping()
        self._end_attempt()
        self._status.stopped()


def _receive_signals() -> int:
    """Return a descriptor that gives the number of each signal as a byte."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: None)  # the wakeup descriptor has it already
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading
