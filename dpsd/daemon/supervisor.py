"""The loop around the daemon's machine: it tells that what happened, and does what it says.

It keeps no connection open and holds no key: everything that needs one happens in a worker process, and this one waits
in a single loop for a signal, a worker's line, a route, or a moment of the monotonic clock. At a warm boot no worker is
started at all. What follows what is decided in `machine` alone.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable

from dpsd.configuration.observed import configuration_files, unchanged
from dpsd.daemon import actions as do
from dpsd.daemon.actions import Actions
from dpsd.daemon.changes import Routes, Watched
from dpsd.daemon.history import History
from dpsd.daemon.machine import Machine, Request, World
from dpsd.daemon.status import Status
from dpsd.daemon.worker import Worker
from dpsd.errors import Problem
from dpsd.provisioning.candidate import exists, has_candidate, promote, waiting_trial
from dpsd.provisioning.publish import keep, lower_flag, prepare_folders, publish, raise_flag
from dpsd.provisioning.record_file import is_released, load_record
from dpsd.state.messages import Orders, encode_orders
from dpsd.state.places import Places
from dpsd.state.record import Record, same_board
from dpsd.state.trial import PRESENT, Trial
from dpsd.system.board import read_board_details, read_serial
from dpsd.system.clock import boot_clock
from dpsd.system.files import lock, remove
from dpsd.system.journal import INFO, NOTICE, log, log_problem
from dpsd.system.notify import Notifier

_REQUESTS = {
    signal.SIGTERM: Request.END,
    signal.SIGINT: Request.END,
    signal.SIGHUP: Request.START_AFRESH,
    signal.SIGUSR1: Request.REGISTER,
}


class Supervisor:
    """The daemon of one state directory. arguments: how a worker is started, after the program's own name."""

    def __init__(self, places: Places, notifier: Notifier, arguments: list[str]) -> None:
        self._places = places
        self._notifier = notifier
        self._arguments = arguments
        self._status = Status(places.runtime, notifier)
        self._history = History(places.state)
        self._selector = selectors.DefaultSelector()
        self._signals = _receive_signals()
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._watched = Watched()
        self._routes = Routes(self._selector)
        self._worker: Worker | None = None
        self._ping_at = None if notifier.watchdog_interval is None else time.monotonic()
        self._exit_status: int | None = None
        self._machine = Machine(boot_clock(), supervised=notifier.supervised)
        self._hands = self._table()

    def run(self) -> int:
        """Run until SIGTERM, or in the foreground until a problem that waiting cannot mend; return the exit status."""
        self._do(self._machine.begin())
        if self._machine.has_lock and self._take_recheck():  # from before a restart, or a power cut
            self._do(self._machine.signalled({Request.CHECK_HUB}))
        while self._exit_status is None:
            self._routes.hear(self._machine.hears_routes)
            moment, _ = self._first_timer()
            for key, _ in self._selector.select(max(0.0, moment - time.monotonic())):
                if key.fd == self._signals:
                    self._take_signals()
                    break  # what else was readable may belong to a worker that has just been ended
                self._hear(key.fd)
            if self._exit_status is None:
                self._act_on_time()
        return self._exit_status

    def _hear(self, descriptor: int) -> None:
        if self._worker is not None and descriptor == self._worker.descriptor:
            self._hear_worker(self._worker)
        elif self._routes.came_up(descriptor):
            self._do(self._machine.route_came_up(time.monotonic(), _fraction()))

    def _hear_worker(self, worker: Worker) -> None:
        """Hand on what the attempt says, until it is ended for that."""
        events = worker.take()
        if events is None:
            self._finish()
        for event in events or ():
            if self._worker is not None:
                self._do(self._machine.said(event))

    def _take_signals(self) -> None:
        requests = {_REQUESTS[signal.Signals(number)] for number in set(os.read(self._signals, 65536))}
        if Request.END not in requests and self._take_recheck():
            requests.add(Request.CHECK_HUB)
        self._do(self._machine.signalled(requests))

    def _take_recheck(self) -> bool:
        """Tell whether a door has ordered a look at the hub; the order is done with then."""
        path = self._places.state.recheck
        if not os.path.lexists(path):
            return False
        try:
            remove(path)
        except Problem as unwritable:
            log_problem(unwritable)
        return True

    # Time

    def _act_on_time(self) -> None:
        """Do what is due first; what else is due follows, once signals and lines have been heard again."""
        moment, act = self._first_timer()
        if moment <= time.monotonic():
            act()

    def _first_timer(self) -> tuple[float, Callable[[], None]]:
        """Return what is to be done next, and when, in seconds of the monotonic clock.

        There always is a timer: the machine's, or the deadline of an attempt.
        """
        due = self._history.seconds_until_due()
        timers: list[tuple[float | None, Callable[[], None]]] = [
            (self._ping_at, self._ping),
            (None if due is None else time.monotonic() + due, self._flush_history),
            (None if self._worker is None else self._worker.deadline, self._finish),
            (self._machine.moment, lambda: self._do(self._machine.time_is(time.monotonic()))),
        ]
        set_ones = [(moment, act) for moment, act in timers if moment is not None]
        return min(set_ones, key=lambda timer: timer[0])

    def _ping(self) -> None:
        self._notifier.send_watchdog()
        if self._notifier.watchdog_interval is not None:
            self._ping_at = time.monotonic() + self._notifier.watchdog_interval

    def _flush_history(self) -> None:
        """Write the history if it is due; that it cannot be written changes nothing else."""
        try:
            self._history.flush()
        except Problem as unwritable:
            log_problem(unwritable)

    # What the machine says

    def _do(self, actions: Actions) -> None:
        """Do one after the other; the last one may have an answer, and that actions of its own."""
        for action in actions:
            try:
                answer = self._hands[type(action)](*action)
            except Problem as problem:
                answer = self._machine.hindered(problem, self._world())
            self._do(answer or [])

    def _table(self) -> dict[type, Callable[..., Actions | None]]:
        """Return by which hand an action is done: it is given the action's fields."""
        return {
            do.Lock: self._lock,
            do.Load: self._load,
            do.Recover: self._recover,
            do.Judge: self._judge,
            do.Keep: self._keep,
            do.Publish: self._publish,
            do.RaiseFlag: self._raise_flag,
            do.LookAround: self._look_around,
            do.Look: self._look,
            do.StartAttempt: self._start_attempt,
            do.EndAttempt: self._end_attempt,
            do.CountOutcome: self._status.finish_attempt,
            do.WatchFiles: self._watched.add,
            do.WriteDetails: self._write_details,
            do.WriteHistory: self._write_history,
            do.ShowStep: self._status.step,
            do.ShowProvisioned: self._status.provisioned,
            do.ShowCertificate: self._status.certificate,
            do.ShowBoard: self._status.board,
            do.ShowFailure: self._status.failed,
            do.ShowWaiting: self._status.waiting,
            do.ShowStopped: self._status.stopped,
            do.TellReady: self._notifier.send_ready,
            do.TellReloading: self._notifier.send_reloading,
            do.TellStopping: self._notifier.send_stopping,
            do.Log: _log,
            do.Exit: self._exit,
        }

    def _world(self) -> World:
        record = self._machine.record
        holds = record is not None and self._holds_here(record)
        return World(time.monotonic(), _fraction(), holds, _waiting(record, self._places))

    def _holds_here(self, record: Record) -> bool:
        """Tell whether the record was made on this board, and agents have what it promises them in memory, which only
        an attempt can put there."""
        return same_board(record.binding.board, read_serial()) and is_released(record, self._places.runtime)

    # Hands for the disk: the machine is told of the Problem that they raise

    def _lock(self) -> Actions:
        prepare_folders(self._places.state, self._places.runtime)
        lock(self._places.state.lock)
        self._status.own()
        return self._machine.locked()

    def _load(self) -> Actions:
        record, unreadable = load_record(self._places.state)
        if unreadable is not None:
            log_problem(unreadable)
        return self._machine.loaded(record)

    def _recover(self, record: Record | None) -> Actions:
        if record is None:
            lower_flag(self._places.runtime)
        else:
            promote(record, self._places)
        return self._machine.recovered()

    def _keep(self, record: Record) -> Actions:
        keep(record, self._places)
        return self._machine.kept(self._world())

    def _publish(self, record: Record) -> Actions:
        publish(record, self._places)
        return self._machine.published()

    def _raise_flag(self) -> Actions:
        raise_flag(self._places.runtime)
        return self._machine.flagged(self._world())

    def _write_details(self, record: Record) -> None:
        try:
            keep(record, self._places)
        except Problem as unwritable:
            log_problem(unwritable)

    def _write_history(self, problem: Problem | None) -> None:
        if problem is None:
            self._history.succeeded()
        else:
            self._history.failed(problem)
        self._flush_history()

    # Hands for what may change

    def _judge(self, record: Record | None) -> Actions:
        holds = False
        if record is not None:
            self._watched.remember(list(record.inputs))  # before they are read
            of_these_files = set(self._places.configuration) <= record.inputs.keys()
            holds = self._holds_here(record) and of_these_files and unchanged(record.inputs)
        return self._machine.judged(holds, self._world())

    def _look_around(self, record: Record) -> Actions:
        self._watched.remember(list(record.inputs))
        details = read_board_details(self._places.state)
        return self._machine.seen(unchanged(record.inputs), details, self._world())

    def _look(self) -> Actions:
        files_changed = self._watched.files_changed()
        return self._machine.looked(files_changed, self._watched.clock_was_set(), time.monotonic())

    # Hands for the worker

    def _start_attempt(self, orders: Orders) -> Actions | None:
        self._watched.remember([*self._places.configuration, *configuration_files(self._places.configuration)])
        self._status.start_attempt()
        try:
            self._worker = Worker([*self._arguments, f"--orders={encode_orders(orders)}"], self._selector)
        except OSError as error:
            problem = Problem("worker-failed", f"cannot start an attempt: {error.strerror}")
            return self._machine.failed(problem, self._world())
        return None

    def _end_attempt(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _finish(self) -> None:
        """Tell the attempt's outcome; its process is waited for afterwards, being as good as gone."""
        assert self._worker is not None
        worker, self._worker = self._worker, None
        try:
            actions = self._machine.done(worker.outcome())
        except Problem as problem:
            actions = self._machine.failed(problem, self._world())
        self._do(actions)
        worker.end(grace=1)

    def _exit(self, status: int) -> None:
        self._exit_status = status


def _waiting(record: Record | None, places: Places) -> Trial:
    """Return what waits to take the place of what made the record, `PRESENT` where nothing does."""
    waits = exists(places) if record is None else has_candidate(record, places)
    return waiting_trial(places) if waits else PRESENT


def _log(sentence: str, is_notice: bool) -> None:
    log(NOTICE if is_notice else INFO, sentence)


def _fraction() -> float:
    """Return a uniform number in [0, 1); the random module would load OpenSSL."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _receive_signals() -> int:
    """Return a descriptor that gives the number of each signal as a byte."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in _REQUESTS:
        signal.signal(number, lambda number, frame: None)  # the wakeup descriptor has it already
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading
