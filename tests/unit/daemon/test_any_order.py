"""Whatever happens to the daemon, in whatever order, it keeps its promises. The world is on paper."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dpsd.daemon import actions as do
from dpsd.daemon.actions import Action, Actions
from dpsd.daemon.machine import READY_LOOK_INTERVAL, RECHECK_INTERVAL, Request, State
from dpsd.errors import NOT_FAILED, ONE_TRY, PROBLEMS, Problem, Retry
from dpsd.protocol.retry import choose_delay
from dpsd.state.messages import Carry, Registered, Renewed, Step, Watch
from dpsd.state.record import Details, Record
from dpsd.state.trial import PRESENT
from tests.unit.daemon.paper import STARTED, WAITING, Paper, bare, of, record_of

LASTING = {State.ATTEMPTING, State.WAITING, State.READY, State.ENDED}
"""States in which something may happen; all others have asked the world, and are left by its answer."""
DISK: list[type[Action]] = [do.Load, do.Recover, do.Keep, do.Publish, do.RaiseFlag]
CODES = [
    "no-answer", "dps-unavailable", "dps-throttled", "dps-unauthorized", "clock-not-synchronized", "clock-wrong",
    "fleet-spread", "configuration-invalid", "credential-missing", "token-pin-refused", "key-source-failed",
    "hub-refused", "board-changed", "worker-failed", "attempt-deadline",
]  # fmt: skip
"""Of every class, and each that has a rule of its own."""
CARRIES = st.builds(
    Carry,
    operation_id=st.none() | st.just("5.a"),
    check_hub=st.booleans(),
    refused_since=st.none() | st.just(3.0),
    transport=st.none() | st.just("websocket"),
)


class AnyOrder(RuleBasedStateMachine):
    """asked: somebody wants a registration, and it is not made yet. reloading: the manager was told RELOADING=1, and
    not READY=1 since. failures: in a row, by class. trial: of the last attempt. written: the number of the record on
    disk."""

    @initialize(provisioned=st.booleans(), supervised=st.booleans(), locked=st.booleans(), today=st.booleans())
    def start(self, provisioned: bool, supervised: bool, locked: bool, today: bool) -> None:
        self.paper = Paper(record_of(0) if provisioned else None, supervised=supervised)
        self.paper.today = today
        self.numbers = 0
        self.asked = self.reloading = False
        self.failures: Counter[Retry] = Counter()
        self.trial = PRESENT
        self.written = 0
        if locked:
            self.paper.failing[do.Lock] = Problem("state-locked", "said")
        self.hear(self.paper.begin())

    # The world

    @rule(kind=st.sampled_from(DISK))
    def the_disk_is_full(self, kind: type[Action]) -> None:
        self.paper.failing[kind] = Problem("state-unwritable", "said")

    @rule(kind=st.sampled_from([do.Keep, do.Publish]))
    def agents_cannot_be_told(self, kind: type[Action]) -> None:
        self.paper.failing[kind] = Problem("assignment-invalid", "said")

    @rule()
    def no_process_can_be_started(self) -> None:
        self.paper.failing[do.StartAttempt] = Problem("worker-failed", "said")

    @rule()
    def everything_is_mended(self) -> None:
        self.paper.failing = {}

    @rule(holds=st.booleans(), today=st.booleans(), unchanged=st.booleans(), waits=st.booleans(), model=st.text("ab"))
    def the_world_changes(self, holds: bool, today: bool, unchanged: bool, waits: bool, model: str) -> None:
        paper = self.paper
        paper.holds, paper.today, paper.unchanged = holds, today and holds, unchanged
        paper.waiting, paper.details = WAITING if waits else PRESENT, Details(model)

    @rule(files=st.booleans())
    def something_changes(self, files: bool) -> None:
        self.paper.files_changed, self.paper.clock_was_set = files, not files

    # Events

    def ended(self) -> bool:
        return self.paper.machine.state is State.ENDED

    def runs(self) -> bool:
        return self.paper.worker is not None

    @precondition(lambda self: self.paper.machine.moment is not None)
    @rule(lot=st.floats(0, 1, exclude_max=True))
    def time_passes(self, lot: float) -> None:
        self.paper.lot = lot
        self.hear(self.paper.sleep())

    @precondition(lambda self: not self.ended())
    @rule(seconds=st.floats(0, 400))
    def somebody_sleeps_too_long(self, seconds: float) -> None:
        self.paper.now += seconds
        self.hear(self.paper.tell(self.paper.machine.time_is(self.paper.now)))

    @precondition(runs)
    @rule(event=st.sampled_from([Step("opening"), Watch({"/a": None}), Renewed()]) | CARRIES)
    def an_attempt_speaks(self, event: Step | Watch | Renewed | Carry) -> None:
        self.hear(self.paper.says(event))

    @precondition(runs)
    @rule()
    def an_attempt_registers(self) -> None:
        self.hear(self.paper.says(Registered(self.new_record())))

    @precondition(runs)
    @rule(new=st.booleans())
    def an_attempt_makes_a_record(self, new: bool) -> None:
        orders = self.paper.worker
        assert orders is not None
        self.asked = self.asked and not orders.force
        on_disk = self.paper.disk
        self.hear(self.paper.makes(self.new_record() if new or on_disk is None else on_disk))

    @precondition(runs)
    @rule(code=st.sampled_from(CODES), retry_after=st.none() | st.integers(0, 100), lot=st.floats(0, 0.99))
    def an_attempt_fails(self, code: str, retry_after: int | None, lot: float) -> None:
        self.paper.lot = lot
        self.hear(self.paper.fails(Problem(code, "said", retry_after=retry_after)))

    @precondition(lambda self: self.paper.machine.hears_routes)
    @rule()
    def a_route_comes_up(self) -> None:
        before = self.paper.machine.moment
        self.hear(self.paper.route())
        after = self.paper.machine.moment
        assert before is not None and after is not None and after <= before

    @precondition(lambda self: not self.ended())
    @rule(requests=st.sets(st.sampled_from([Request.START_AFRESH, Request.REGISTER, Request.CHECK_HUB]), min_size=1))
    def a_signal_comes(self, requests: set[Request]) -> None:
        self.asked = self.asked or Request.REGISTER in requests
        self.failures.clear()
        ran = self.runs()
        said = self.paper.signal(*requests)
        assert len(of(said, do.EndAttempt)) == ran, "what runs knows nothing of what changed"
        assert of(said, do.Lock) or of(said, do.Judge), "it starts afresh, now"
        self.hear(said)

    # Promises

    def hear(self, said: Actions) -> None:
        """Judge what the machine says to an event; what the world itself asserts is judged already."""
        for action in said:
            if isinstance(action, do.StartAttempt):
                self.judge_orders(action)
            if isinstance(action, do.Keep):
                self.judge_writing(action.record)
            if isinstance(action, do.TellReloading):
                self.reloading = True
            if isinstance(action, do.TellReady):
                self.reloading = False
            if isinstance(action, do.ShowProvisioned):
                self.failures.clear()
            if isinstance(action, do.ShowFailure):
                self.judge_delay(action)

    def judge_orders(self, action: do.StartAttempt) -> None:
        orders = action.orders
        assert orders.force == self.asked, "a request is never lost, and never made twice"
        assert orders.trial in ([PRESENT] if self.asked else [PRESENT, self.paper.waiting])
        assert orders.started == STARTED
        self.trial = orders.trial

    def judge_writing(self, record: Record) -> None:
        number = int(record.connection.device_id.removeprefix("pi-"))
        assert number >= self.written, "an assignment is never given up for an earlier one"
        if do.Keep not in self.paper.failing:
            self.written = number

    def judge_delay(self, action: do.ShowFailure) -> None:
        problem = action.problem
        retry = problem.kind.retry
        self.failures[retry] += problem.code not in NOT_FAILED
        count = 0 if problem.code in NOT_FAILED else self.failures[retry]
        expected = choose_delay(problem, count, self.paper.lot)
        in_turn = action.delay == 0 and self.paper.waiting != PRESENT and self.trial == PRESENT
        assert in_turn or action.delay == expected, "no other failure shortens the wait"

    @invariant()
    def every_question_is_answered(self) -> None:
        assert self.paper.machine.state in LASTING

    @invariant()
    def it_knows_whether_an_attempt_runs(self) -> None:
        assert (self.paper.machine.state is State.ATTEMPTING) == self.runs()

    @invariant()
    def something_wakes_it(self) -> None:
        """A timer, a running attempt with its deadline, or the end; and a wait is looked at within its time."""
        machine = self.paper.machine
        assert machine.moment is not None or self.runs() or self.ended()
        if machine.state in (State.WAITING, State.READY):
            assert machine.moment is not None and machine.moment <= self.paper.now + READY_LOOK_INTERVAL

    @invariant()
    def it_knows_what_is_on_disk(self) -> None:
        machine = self.paper.machine
        if machine.has_lock and do.Load not in self.paper.failing and machine.record is not None:
            assert bare(machine.record) == bare(self.paper.disk)

    @invariant()
    def what_was_ready_stays_so(self) -> None:
        machine = self.paper.machine
        assert machine.ready == (self.paper.flag and self.paper.published is not None and machine.ready)
        assert not (self.reloading and machine.state in (State.WAITING, State.READY)), "RELOADING=1 is ended"

    @invariant()
    def a_daemon_in_the_foreground_ends_only_with_what_waiting_cannot_mend(self) -> None:
        paper = self.paper
        if self.ended():
            assert not paper.machine.supervised and not paper.machine.ready
            assert paper.exit_status in {PROBLEMS[code].exit_status for code in CODES} | {75}

    def teardown(self) -> None:
        """From wherever it is, it becomes ready and rests, once the world is as it should be."""
        if not hasattr(self, "paper") or self.ended():
            return
        paper = self.paper
        paper.failing, paper.holds, paper.today, paper.unchanged, paper.waiting = {}, True, True, True, PRESENT
        if paper.machine.wait.problem is not None and paper.machine.wait.problem.code in ONE_TRY:
            paper.files_changed = True
        end = paper.now + 7 * 3600 + RECHECK_INTERVAL
        while not (paper.machine.state is State.READY and paper.machine.wait.moment is None):
            if self.runs():
                self.says_done()
            else:
                self.hear(paper.sleep())
            assert paper.now <= end, "every state is left"
        assert not self.asked and not self.reloading
        paper.files_changed = True
        while not of(paper.sleep(), do.StartAttempt):
            assert paper.now <= end + 60, "a file that changed is noticed"

    def says_done(self) -> None:
        self.paper.says(Carry())
        self.asked = False
        self.hear(self.paper.makes(self.new_record()))

    def new_record(self) -> Record:
        self.numbers += 1
        return record_of(self.numbers)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(stateful_step_count=40, max_examples=150)
