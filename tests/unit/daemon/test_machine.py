"""The daemon's machine: told what happened, it says what is to be done. The world is on paper."""

from __future__ import annotations

from typing import Any

import pytest

from dpsd.daemon import actions as do
from dpsd.daemon.actions import Actions
from dpsd.daemon.machine import LOOK_INTERVAL, READY_LOOK_INTERVAL, RECHECK_INTERVAL, Machine, Request, State
from dpsd.errors import PROBLEMS, Problem
from dpsd.protocol.retry import LADDERS
from dpsd.state.messages import Carry, Orders, Registered, Renewed, Step, Watch
from dpsd.state.record import Details
from dpsd.state.trial import PRESENT
from tests.unit.daemon.paper import STARTED, WAITING, Paper, kinds, of, record_of

OLD, NEW = record_of(1), record_of(2)
FULL = Problem("state-unwritable", "no room")
UNTOLD = Problem("assignment-invalid", "a quote")
BECOMES_READY = [do.ShowProvisioned, do.TellReady, do.ShowCertificate, do.ShowBoard, do.WriteHistory, do.LookAround]


def attempting(record: Any = None, *, supervised: bool = True) -> Paper:
    """A daemon whose first attempt runs, with a record on disk that does not hold."""
    paper = Paper(record, supervised=supervised)
    paper.today = False
    paper.begin()
    return paper


def ready() -> Paper:
    """A daemon that is ready by the record on disk, and rests."""
    paper = Paper(OLD)
    paper.begin()
    return paper


def orders(said: Actions) -> Orders:
    """What the one attempt that was started is told."""
    [start] = of(said, do.StartAttempt)
    return start.orders  # type: ignore[no-any-return]


def failure(said: Actions) -> tuple[str, float | None]:
    """Which problem was told, and after how many seconds the next attempt comes."""
    [shown] = of(said, do.ShowFailure)
    return shown.problem.code, shown.delay


# Starting


def test_a_record_that_holds_makes_the_device_ready_without_an_attempt() -> None:
    paper = Paper(OLD)
    said = paper.begin()
    before = [do.Lock, do.Load, do.Recover, do.Judge, do.Publish, do.RaiseFlag]
    assert kinds(said) == [*before, *BECOMES_READY]
    assert (paper.machine.moment, paper.machine.hears_routes) == (paper.now + READY_LOOK_INTERVAL, False)


@pytest.mark.parametrize("record", [None, OLD])
def test_without_a_record_that_holds_an_attempt_is_made_the_first_one(record: Any) -> None:
    paper = Paper(record)
    paper.today = False
    said = paper.begin()
    assert kinds(said) == [do.Lock, do.Load, do.Recover, do.Judge, do.StartAttempt]
    assert orders(said) == Orders(first=True, started=STARTED)
    paper.fails("no-answer")
    assert orders(paper.sleep_until(do.StartAttempt)) == Orders(first=False, started=STARTED)


def test_a_lock_that_another_holds_is_taken_once_it_is_free() -> None:
    paper = Paper(OLD)
    paper.failing[do.Lock] = Problem("state-locked", "said")
    assert kinds(paper.begin()) == [do.Lock, do.ShowFailure], "the history is the other's"
    assert kinds(paper.sleep_until(do.Lock)) == [do.Lock, do.ShowFailure]
    paper.failing = {}
    assert kinds(paper.sleep_until(do.Lock))[1:3] == [do.Load, do.Recover]
    assert paper.machine.ready


def test_a_request_that_comes_while_another_holds_the_lock_is_kept() -> None:
    paper = Paper(OLD)
    paper.failing[do.Lock] = Problem("state-locked", "said")
    paper.begin()
    assert kinds(paper.signal(Request.REGISTER)) == [do.Lock, do.ShowFailure]
    paper.failing = {}
    assert of(paper.sleep_until(do.Lock), do.TellReady)
    assert orders(paper.sleep()).force


def test_what_was_cut_short_and_cannot_be_finished_is_tried_again_without_an_attempt() -> None:
    paper = Paper(OLD)
    paper.failing[do.Recover] = FULL
    assert failure(paper.begin())[0] == "state-unwritable"
    paper.failing = {}
    assert kinds(paper.sleep_until(do.Judge))[:2] == [do.Judge, do.Publish]
    assert paper.machine.ready


# Attempts


def test_what_an_attempt_says_is_shown_and_watched() -> None:
    paper = attempting()
    assert paper.says(Step("opening")) == [do.ShowStep("opening")]
    assert paper.says(Watch({"/a": 1})) == [do.WatchFiles({"/a": 1})]
    assert paper.says(Renewed()) == paper.says(Carry()) == []


def test_a_record_is_written_down_published_flagged_and_then_told() -> None:
    paper = attempting(OLD)
    assert kinds(paper.makes(NEW)) == [do.CountOutcome, do.Keep, do.Publish, do.RaiseFlag, *BECOMES_READY]
    assert (paper.disk, paper.published, paper.flag) == (NEW, NEW, True)
    assert of(paper.said, do.ShowProvisioned) == [do.ShowProvisioned("contoso.azure-devices.net", "pi-2")]
    assert of(paper.said, do.WriteHistory) == [do.WriteHistory(None)]
    assert of(paper.said, do.ShowBoard) == [do.ShowBoard(NEW.binding.board, NEW.details)]


def test_a_record_that_is_on_disk_is_not_written_again() -> None:
    assert of(attempting(OLD).makes(OLD), do.Keep) == []


@pytest.mark.parametrize("effect", [do.Keep, do.Publish, do.RaiseFlag])
def test_a_record_that_the_disk_does_not_take_is_published_later_without_an_attempt(effect: Any) -> None:
    paper = attempting()
    paper.failing[effect] = FULL
    assert failure(paper.makes(NEW))[0] == "state-unwritable"
    paper.failing, paper.today = {}, True
    said = paper.sleep_until(do.Judge)
    assert (of(said, do.StartAttempt), paper.published, paper.machine.ready) == ([], NEW, True)


def test_an_unpublished_record_of_files_that_changed_since_is_given_up_for_an_attempt() -> None:
    paper = attempting()
    paper.failing[do.Keep] = FULL
    paper.makes(NEW)
    assert of(paper.sleep_until(do.Judge), do.StartAttempt)


@pytest.mark.parametrize("effect", [do.Keep, do.Publish])
def test_a_record_that_agents_cannot_be_told_is_made_anew(effect: Any) -> None:
    paper = attempting()
    paper.failing[effect] = UNTOLD
    assert failure(paper.makes(NEW))[0] == "assignment-invalid"
    paper.today = True
    assert of(paper.sleep_until(do.Judge), do.StartAttempt)


def test_a_new_assignment_that_agents_cannot_be_told_ends_the_attempt_and_is_made_anew() -> None:
    paper = attempting()
    paper.failing[do.Keep] = UNTOLD
    assert failure(paper.says(Registered(NEW)))[0] == "assignment-invalid"
    paper.today = True
    assert kinds(paper.sleep_until(do.Judge)) == [do.Judge, do.StartAttempt]


def test_a_new_assignment_is_written_down_while_its_hub_is_tried() -> None:
    paper = attempting(OLD)
    assert paper.says(Registered(NEW)) == [do.Keep(NEW)]
    assert (paper.disk, paper.published, paper.worker) == (NEW, None, Orders(first=True, started=STARTED))
    assert of(paper.makes(NEW), do.Keep) == []


def test_a_new_assignment_that_cannot_be_written_down_ends_the_attempt_and_its_hub_is_tried_later() -> None:
    paper = attempting(OLD)
    paper.says(Carry(check_hub=True))
    paper.failing[do.Keep] = FULL
    assert kinds(paper.says(Registered(NEW)))[:4] == [do.Keep, do.EndAttempt, do.CountOutcome, do.ShowFailure]
    paper.today = True
    assert kinds(paper.sleep_until(do.Keep))[:3] == [do.Judge, do.Keep, do.ShowFailure]
    paper.failing = {}
    assert kinds(paper.sleep_until(do.Keep)) == [do.Judge, do.Keep, do.StartAttempt]
    assert (orders(paper.said).carry, paper.disk, paper.published) == (Carry(check_hub=True), NEW, None)


def test_a_hub_that_is_owed_is_tried_by_an_attempt_before_a_record_on_disk_is_published() -> None:
    paper = attempting()
    paper.says(Carry(check_hub=True))
    paper.failing[do.Publish] = FULL
    paper.makes(NEW)
    paper.failing, paper.today = {}, True
    assert kinds(paper.sleep_until(do.Judge)) == [do.Judge, do.StartAttempt]


def test_a_record_that_was_kept_is_not_given_up_for_one_that_was_not_published_before() -> None:
    paper = attempting()
    paper.failing[do.Keep] = FULL
    paper.makes(OLD)
    paper.failing = {}
    paper.sleep_until(do.StartAttempt)
    paper.says(Registered(NEW))
    paper.fails("hub-refused")
    paper.today = True
    assert kinds(paper.sleep_until(do.Judge)) == [do.Judge, do.StartAttempt]
    assert paper.disk == NEW


def test_an_attempt_that_cannot_be_started_has_failed() -> None:
    paper = Paper()
    paper.failing[do.StartAttempt] = Problem("worker-failed", "said")
    assert kinds(paper.begin())[-3:] == [do.CountOutcome, do.ShowFailure, do.WriteHistory]
    assert paper.machine.state is State.WAITING


# The earlier assignment


@pytest.mark.parametrize("code", ["configuration-invalid", "credential-missing", "board-changed"])
def test_with_a_record_that_holds_a_wrong_configuration_does_not_keep_the_device_from_being_ready(code: str) -> None:
    paper = attempting(OLD)
    said = paper.fails(code)
    shown = BECOMES_READY[:-2]
    assert kinds(said) == [
        do.CountOutcome, do.Publish, do.RaiseFlag, *shown, do.ShowFailure, do.WriteHistory, do.TellReady,
    ]  # fmt: skip
    assert (failure(said), paper.published) == ((code, None), OLD)
    assert of(said, do.WriteHistory) == [do.WriteHistory(paper.machine.wait.problem)]


@pytest.mark.parametrize("code", ["no-answer", "dps-unauthorized", "dps-throttled", "clock-wrong"])
def test_what_is_not_of_this_devices_own_making_is_settled_before_it_is_ready(code: str) -> None:
    assert of(attempting(OLD).fails(code), do.Publish) == []


def test_a_record_that_does_not_hold_here_does_not_make_the_device_ready() -> None:
    paper = attempting(OLD)
    paper.holds = False
    assert of(paper.fails("board-changed"), do.Publish) == []


@pytest.mark.parametrize("code", ["no-answer", "dps-unauthorized"])
def test_a_renewed_credential_that_cannot_register_leaves_the_device_ready_by_the_earlier_one(code: str) -> None:
    paper = attempting(OLD)
    paper.says(Renewed())
    assert (of(paper.fails(code), do.Publish), failure(paper.said)[0]) == ([do.Publish(OLD)], code)


def test_by_a_new_assignment_the_device_is_ready_when_its_hub_takes_it() -> None:
    paper = attempting(OLD)
    paper.says(Renewed())
    paper.says(Registered(NEW))
    assert of(paper.fails("hub-refused"), do.Publish) == []


def test_a_renewed_credential_counts_for_its_own_attempt() -> None:
    paper = attempting(OLD)
    paper.holds = False
    paper.says(Renewed())
    paper.fails("no-answer")
    paper.holds = True
    paper.sleep_until(do.StartAttempt)
    assert of(paper.fails("no-answer"), do.Publish) == []


@pytest.mark.parametrize("effect", [do.Publish, do.RaiseFlag])
def test_what_prevents_the_earlier_assignment_is_told(effect: Any) -> None:
    paper = attempting(OLD)
    paper.failing[effect] = FULL
    assert failure(paper.fails("configuration-invalid"))[0] == "state-unwritable"
    assert (paper.machine.ready, paper.machine.staying) == (False, None)


# Waiting


@pytest.mark.parametrize(("code", "by_the_clock"), [("credential-missing", True), ("token-pin-refused", False)])
def test_a_refused_pin_is_not_tried_again_after_a_while(code: str, by_the_clock: bool) -> None:
    paper = attempting()
    assert failure(paper.fails(code)) == (code, None)
    began = paper.now
    assert paper.machine.wait.recheck == (began + RECHECK_INTERVAL if by_the_clock else None)
    assert RECHECK_INTERVAL == 300
    while paper.now < began + RECHECK_INTERVAL:
        assert of(paper.said, do.StartAttempt) == []
        paper.sleep()
    assert (paper.worker is not None) == by_the_clock


@pytest.mark.parametrize("code", ["no-answer", "dps-unauthorized", "dps-unavailable"])
def test_the_next_attempt_comes_when_it_was_told(code: str) -> None:
    paper = attempting()
    _, delay = failure(paper.fails(code))
    assert delay is not None
    began = paper.now
    paper.sleep_until(do.StartAttempt)
    assert paper.now == began + delay


def test_files_and_clock_are_looked_at_at_once_and_every_2_s_and_status_is_refreshed_every_10() -> None:
    paper = attempting(OLD)
    _, delay = failure(paper.fails("dps-unauthorized"))
    assert delay is not None
    began, looks, shown = paper.now, [], []
    assert kinds(paper.tell(paper.machine.time_is(paper.now))) == [do.Look]
    looks.append(paper.now - began)
    for _ in range(11):
        paper.sleep()
        looks += [paper.now - began for _ in of(paper.said, do.Look)]
        shown += [(paper.now - began, one.delay) for one in of(paper.said, do.ShowWaiting)]
    assert looks == [LOOK_INTERVAL * number for number in range(12)]
    assert shown == [(10, delay - 10), (20, delay - 20)]


def test_who_waits_for_a_change_alone_is_not_told_of_seconds() -> None:
    paper = attempting()
    paper.fails("credential-missing")
    paper.sleep_until(do.ShowWaiting)
    assert [shown.delay for shown in of(paper.said, do.ShowWaiting)] == [None]


def test_a_file_that_changes_ends_a_wait_and_begins_anew() -> None:
    paper = attempting()
    paper.says(Carry(operation_id="5.a", transport="websocket"))
    paper.fails("dps-unauthorized")
    paper.files_changed = True
    assert orders(paper.sleep()).carry == Carry(transport="websocket")


@pytest.mark.parametrize(("code", "helps"), [("no-answer", True), ("token-pin-refused", False)])
def test_a_clock_that_is_set_helps_unless_a_pin_was_refused(code: str, helps: bool) -> None:
    paper = attempting()
    paper.says(Carry(operation_id="5.a"))
    paper.fails(code)
    paper.clock_was_set = True
    assert bool(of(paper.sleep(), do.StartAttempt)) == helps
    assert not helps or orders(paper.said).carry == Carry(operation_id="5.a")


def test_routes_are_heard_of_only_while_the_network_or_the_clock_is_waited_for() -> None:
    heard = []
    for code in ("dps-unauthorized", "no-answer", "clock-not-synchronized", "credential-missing", "dps-throttled"):
        paper = attempting()
        assert not paper.machine.hears_routes
        paper.fails(code)
        heard.append(paper.machine.hears_routes)
        paper.sleep_until(do.StartAttempt, within=30_000)
        assert not paper.machine.hears_routes
    assert heard == [False, True, True, False, False]


@pytest.mark.parametrize(("lot", "seconds"), [(0, 1), (0.5, 3), (0.99, 4.96)])
def test_a_route_that_comes_up_shortens_a_wait_once(lot: float, seconds: float) -> None:
    paper = attempting()
    paper.fails(Problem("no-answer", "said", retry_after=100))
    paper.lot = lot
    assert paper.route() == [do.Log("a route came up: trying again soon")]
    assert paper.machine.wait.until == pytest.approx(paper.now + seconds)
    assert not paper.machine.hears_routes


def test_a_route_does_not_lengthen_a_wait() -> None:
    paper = attempting()
    paper.lot = 0
    _, delay = failure(paper.fails("no-answer"))
    paper.lot = 0.9
    assert (delay, paper.route(), paper.machine.wait.until) == (2, [], paper.now + 2)


def test_each_class_counts_its_own_failures_until_the_device_is_ready_or_somebody_asks() -> None:
    paper, told = attempting(), []
    paper.lot = 1 - 2**-53
    network, refused = (LADDERS[PROBLEMS[code].retry].first for code in ("no-answer", "dps-unauthorized"))

    def fail(code: str) -> float | None:
        _, delay = failure(paper.fails(code))
        paper.sleep_until(do.StartAttempt)
        return delay

    told = [fail(code) for code in ("no-answer", "no-answer", "dps-unauthorized", "no-answer")]
    assert told == pytest.approx([network, 2 * network, refused, 4 * network])
    paper.signal(Request.START_AFRESH)
    assert [fail("no-answer"), fail("no-answer")] == pytest.approx([network, 2 * network])
    paper.unchanged = False
    paper.makes(NEW)
    paper.sleep_until(do.StartAttempt)
    assert fail("no-answer") == pytest.approx(network)


@pytest.mark.parametrize("code", ["clock-not-synchronized", "fleet-spread"])
def test_a_wait_for_a_turn_or_the_clock_is_no_failure(code: str) -> None:
    paper = attempting()
    for _ in range(3):
        assert failure(paper.fails(code)) == (code, 0)
        assert of(paper.said, do.WriteHistory) == []
        paper.sleep_until(do.StartAttempt)


@pytest.mark.parametrize(("code", "ends"), [("configuration-invalid", True), ("no-answer", False)])
def test_in_the_foreground_a_problem_that_waiting_cannot_mend_ends_the_daemon(code: str, ends: bool) -> None:
    paper = attempting(supervised=False)
    paper.fails(code)
    assert paper.exit_status == (PROBLEMS[code].exit_status if ends else None)
    assert (kinds(paper.said)[-3:] == [do.TellStopping, do.ShowStopped, do.Exit]) == ends


def test_in_the_foreground_a_lock_that_another_holds_ends_the_daemon() -> None:
    paper = Paper(supervised=False)
    paper.failing[do.Lock] = Problem("state-locked", "said")
    paper.begin()
    assert (paper.exit_status, paper.machine.state) == (75, State.ENDED)


def test_a_device_that_is_ready_does_not_end_in_the_foreground_either() -> None:
    paper = attempting(OLD, supervised=False)
    paper.fails("configuration-invalid")
    assert (paper.machine.ready, paper.exit_status) == (True, None)


# Ready


def test_who_is_ready_looks_every_30_s_at_certificate_and_files() -> None:
    paper = ready()
    for _ in range(3):
        before = paper.now
        assert paper.sleep() == [do.ShowCertificate(OLD.validity), do.Look()]
        assert paper.now - before == READY_LOOK_INTERVAL == 30
    paper.files_changed = True
    assert orders(paper.sleep()) == Orders(first=True, started=STARTED)


def test_a_clock_that_is_set_is_nothing_to_who_is_ready() -> None:
    paper = ready()
    paper.clock_was_set = True
    assert kinds(paper.sleep()) == [do.ShowCertificate, do.Look]


def test_while_an_attempt_runs_the_certificate_alone_is_looked_at() -> None:
    paper = ready()
    paper.signal(Request.REGISTER)
    assert paper.sleep() == [do.ShowCertificate(OLD.validity)]


@pytest.mark.parametrize("code", ["no-answer", "configuration-invalid"])
def test_a_problem_after_readiness_leaves_the_device_ready(code: str) -> None:
    paper = ready()
    paper.signal(Request.REGISTER)
    assert kinds(paper.fails(code)) == [do.CountOutcome, do.ShowFailure, do.WriteHistory, do.TellReady]
    paper.sleep()
    assert paper.said == [do.ShowCertificate(OLD.validity), do.Look()]


def test_files_that_changed_during_the_attempt_are_read_again_soon() -> None:
    paper = attempting()
    paper.unchanged = False
    paper.makes(NEW)
    assert paper.machine.moment == paper.now + LOOK_INTERVAL
    assert of(paper.sleep(), do.StartAttempt)


def test_a_hub_that_is_to_be_tried_after_readiness_is_tried_at_once() -> None:
    paper = attempting()
    paper.says(Carry(check_hub=True, refused_since=7))
    assert of(paper.makes(NEW), do.TellReady)
    assert paper.machine.moment == paper.now
    assert orders(paper.sleep()).carry == Carry(check_hub=True, refused_since=7)


def test_of_a_success_nothing_is_carried_on() -> None:
    paper = attempting()
    paper.says(Carry(operation_id="5.a", transport="websocket"))
    paper.unchanged = False
    paper.makes(NEW)
    assert orders(paper.sleep()).carry == Carry()


def test_what_is_new_about_board_and_card_is_told_and_written_down_once() -> None:
    paper = Paper(OLD)
    paper.details = Details(model="Raspberry Pi 5")
    said = paper.begin()
    known = OLD._replace(details=paper.details)
    notice = do.Log("the board's model is Raspberry Pi 5", is_notice=True)
    assert said[-3:] == [notice, do.ShowBoard(OLD.binding.board, paper.details), do.WriteDetails(known)]
    paper.unchanged = False
    paper.signal(Request.START_AFRESH)
    assert of(paper.makes(known), do.WriteDetails) == []


# Turns of what waits


def test_the_candidate_follows_once_the_device_is_ready_and_again_after_a_refusal() -> None:
    paper = Paper(OLD)
    paper.waiting = WAITING
    paper.begin()
    assert paper.machine.moment == paper.now
    assert orders(paper.sleep()).trial == WAITING
    for code in ("dps-unauthorized", "no-answer", "dps-unauthorized"):
        assert failure(paper.fails(code))[1] != 0
        assert orders(paper.sleep_until(do.StartAttempt)).trial == WAITING


@pytest.mark.parametrize("code", ["dps-unauthorized", "credential-missing", "key-source-failed"])
def test_where_the_present_one_is_refused_or_cannot_be_opened_they_take_turns(code: str) -> None:
    paper = attempting()
    paper.waiting = WAITING
    for _ in range(2):
        assert failure(paper.fails(code))[1] == 0
        assert orders(paper.sleep()).trial == WAITING
        assert failure(paper.fails(code))[1] != 0
        assert orders(paper.sleep_until(do.StartAttempt)).trial == PRESENT


def test_a_candidate_that_agents_cannot_be_told_is_not_tried_again_at_once() -> None:
    paper = Paper(OLD)
    paper.waiting = WAITING
    paper.begin()
    paper.sleep()
    paper.failing[do.Keep] = UNTOLD
    assert failure(paper.makes(NEW))[1] != 0
    assert paper.disk == OLD
    assert orders(paper.sleep_until(do.StartAttempt)).trial == WAITING


def test_a_network_that_is_down_is_nobodys_turn() -> None:
    paper = attempting()
    paper.waiting = WAITING
    assert failure(paper.fails("no-answer"))[1] != 0
    assert orders(paper.sleep_until(do.StartAttempt)).trial == PRESENT


def test_where_nothing_waits_nobody_else_has_a_turn() -> None:
    paper = attempting()
    assert failure(paper.fails("dps-unauthorized"))[1] != 0
    assert orders(paper.sleep_until(do.StartAttempt)).trial == PRESENT


@pytest.mark.parametrize("request_", [Request.REGISTER, Request.START_AFRESH])
def test_what_somebody_asks_for_is_the_present_ones(request_: Request) -> None:
    paper = ready()
    paper.waiting = WAITING
    assert orders(paper.signal(request_)) == Orders(request_ is Request.REGISTER, True, STARTED)


def test_after_a_change_the_present_one_comes_first() -> None:
    paper = Paper(OLD)
    paper.waiting = WAITING
    paper.begin()
    paper.sleep()
    paper.fails("dps-unauthorized")
    paper.files_changed = True
    assert orders(paper.sleep()).trial == PRESENT


def test_what_an_attempt_left_is_not_for_the_other_credential() -> None:
    paper = attempting()
    paper.waiting = WAITING
    paper.says(Carry(operation_id="5.a", check_hub=True, transport="websocket"))
    paper.fails("dps-unauthorized")
    assert orders(paper.sleep()).carry == Carry(transport="websocket")
    paper.says(Carry(operation_id="5.b"))
    paper.fails("no-answer")
    assert orders(paper.sleep_until(do.StartAttempt)).carry == Carry(operation_id="5.b")


def test_a_hub_that_a_candidate_leaves_to_be_tried_is_tried() -> None:
    paper = Paper(OLD)
    paper.waiting = WAITING
    paper.begin()
    paper.sleep()
    paper.says(Carry(check_hub=True))
    paper.waiting = PRESENT  # it is promoted
    paper.makes(NEW)
    assert orders(paper.sleep()) == Orders(False, False, STARTED, Carry(check_hub=True), PRESENT)


# Signals


@pytest.mark.parametrize("others", [(), (Request.REGISTER,), (Request.START_AFRESH,)])
def test_the_end_comes_before_all_else(others: tuple[Request, ...]) -> None:
    paper = attempting()
    said = paper.signal(*others, Request.END)
    assert said == [do.TellStopping(), do.EndAttempt(), do.ShowStopped(), do.Exit(0)]
    assert (paper.machine.state, paper.machine.moment) == (State.ENDED, None)
    assert of(ready().signal(Request.END), do.EndAttempt) == []


def test_who_asks_for_a_registration_gets_one_at_once_and_the_running_attempt_is_ended() -> None:
    paper = attempting()
    paper.says(Carry(operation_id="5.a", transport="websocket"))
    said = paper.signal(Request.REGISTER, Request.START_AFRESH)
    assert kinds(said) == [do.EndAttempt, do.Judge, do.StartAttempt]
    assert orders(said) == Orders(True, False, STARTED, Carry(transport="websocket"))


def test_a_request_is_repeated_until_it_is_done_and_no_longer() -> None:
    paper = ready()
    paper.signal(Request.REGISTER)
    paper.fails("no-answer")
    assert orders(paper.sleep_until(do.StartAttempt)).force
    assert orders(paper.signal(Request.START_AFRESH)).force
    paper.unchanged = False
    paper.makes(NEW)
    assert not orders(paper.sleep()).force


def test_a_request_is_done_with_its_record_even_if_that_cannot_be_published_yet() -> None:
    paper = attempting()
    paper.signal(Request.REGISTER)
    paper.failing[do.Keep] = FULL
    paper.makes(NEW)
    paper.failing, paper.today = {}, True
    assert of(paper.sleep_until(do.Judge), do.StartAttempt) == []
    assert paper.machine.ready


@pytest.mark.parametrize(("request_", "told"), [(Request.START_AFRESH, True), (Request.REGISTER, False)])
def test_a_reload_of_a_ready_device_is_told_and_its_end_too(request_: Request, told: bool) -> None:
    paper = ready()
    assert bool(of(paper.signal(request_), do.TellReloading)) == told
    assert of(paper.makes(NEW), do.TellReady)
    assert of(attempting().signal(request_), do.TellReloading) == []


def test_a_look_at_the_hub_registers_only_if_that_refuses_for_long() -> None:
    paper = ready()
    told = orders(paper.signal(Request.CHECK_HUB))
    assert (told.force, told.carry) == (False, Carry(check_hub=True))
    paper.says(Carry(check_hub=True, refused_since=7))
    paper.fails("hub-refused")
    assert orders(paper.signal(Request.CHECK_HUB)).carry == Carry(check_hub=True, refused_since=7)
    paper.says(Carry())
    assert of(paper.makes(paper.machine.record or NEW), do.TellReady)
    assert paper.machine.wait.moment is None


def test_a_look_at_the_hub_is_the_present_credentials() -> None:
    paper = Paper(OLD)
    paper.waiting = WAITING
    paper.begin()
    assert orders(paper.sleep()).trial == WAITING
    paper.says(Carry(operation_id="5.a", transport="websocket"))
    told = orders(paper.signal(Request.CHECK_HUB))
    assert (told.trial, told.carry) == (PRESENT, Carry(check_hub=True, transport="websocket"))


# The machine itself


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("locked", ()), ("loaded", (None,)), ("recovered", ()), ("published", ()), ("done", (NEW,)),
        ("judged", (True, Paper().world())), ("kept", (Paper().world(),)), ("flagged", (Paper().world(),)),
        ("seen", (True, Details(), Paper().world())), ("failed", (FULL, Paper().world())), ("said", (Renewed(),)),
    ],
)  # fmt: skip
def test_a_step_out_of_its_order_is_a_bug(method: str, arguments: tuple[Any, ...]) -> None:
    machine = attempting().machine if method not in ("done", "failed", "said") else ready().machine
    with pytest.raises(AssertionError, match=r"the daemon is (ready|attempting), not "):
        getattr(machine, method)(*arguments)


def test_nothing_is_due_before_its_moment() -> None:
    paper = ready()
    assert paper.machine.moment is not None
    assert paper.machine.time_is(paper.machine.moment - 0.001) == []
    assert Machine(0, supervised=True).time_is(10**9) == []


def test_what_is_due_first_is_done_first() -> None:
    paper = attempting()
    paper.lot = 0
    paper.fails("no-answer")
    paper.now += 60
    assert of(paper.tell(paper.machine.time_is(paper.now)), do.Look)
    assert of(paper.tell(paper.machine.time_is(paper.now)), do.StartAttempt)


def test_its_state_is_plain_values() -> None:
    paper = Paper(OLD)
    paper.waiting = WAITING
    paper.begin()
    paper.sleep()
    paper.fails("no-answer")
    assert plain(vars(paper.machine))


def plain(value: Any) -> bool:
    """Tell whether nothing but values is in it, which can be written down."""
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(plain(one) for one in value.values())
    if isinstance(value, tuple | list):
        return all(plain(one) for one in value)
    return value is None or isinstance(value, bool | int | float | str | State | Problem)
