"""Fleets on paper: the retry policy meets its goal, and the model keeps what it promises. All times are simulated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.protocol import dps
from tests.simulation.fleet import BOOT, SESSION, Fleet
from tests.simulation.limits import LIMITS
from tests.simulation.rivals import AZURE, EVERY_5_S, Habits, Rivals, least
from tests.simulation.runs import TOGETHER, Run, window_for
from tests.simulation.service import POLL_AFTER, Conditions, Service
from tests.simulation.table import REQUESTS, TIME, lines, ratios
from tests.simulation.tally import Tally
from tests.unit.examples import CHECKOUT

USUAL = Conditions()
OUTAGE = Conditions(outage=(300, 900))
LOSSES = Conditions(lost=0.05)


@pytest.mark.parametrize("devices", [1, 10, 100, 1000])
def test_a_fleet_that_the_service_takes_at_once_does_not_wait(devices: int) -> None:
    tally = Fleet(devices, 0, USUAL, seed=1).run()
    assert (tally.requests_per_device, tally.connections_per_device, tally.refused) == (2, 1, 0)
    assert tally.seconds_to(1) <= BOOT + SESSION + POLL_AFTER


@pytest.mark.parametrize("conditions", [USUAL, LOSSES], ids=["usual", "losses"])
def test_a_fleet_with_the_advised_window_meets_the_goal(conditions: Conditions) -> None:
    tally = Fleet(20_000, window_for(20_000), conditions, seed=1).run()
    slower, more = ratios(tally, least(20_000, conditions))
    assert slower <= TIME
    assert more <= REQUESTS


def test_a_fleet_recovers_from_an_outage_without_a_storm() -> None:
    tally = Fleet(10_000, window_for(10_000), OUTAGE, seed=1).run()
    slower, more = ratios(tally, least(10_000, OUTAGE))
    assert slower <= 1.3
    assert more <= REQUESTS
    assert tally.peak <= 100


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("retry_after", ["none", "3", "next"])
def test_a_fleet_without_a_window_needs_more_but_knocks_seldom(limit: str, retry_after: str) -> None:
    conditions = Conditions(limit=limit, retry_after=retry_after)
    slower, more = ratios(Fleet(5000, 0, conditions, seed=1).run(), least(5000, conditions))
    assert slower <= 3
    assert more <= 2.5


def test_a_run_is_the_same_for_the_same_seed() -> None:
    first, again, other = (Fleet(2000, 30, LOSSES, seed).run() for seed in (1, 1, 2))
    assert vars(first) == vars(again)
    assert vars(first) != vars(other)


@pytest.mark.parametrize("conditions", [USUAL, OUTAGE, LOSSES], ids=["usual", "outage", "losses"])
def test_what_the_machine_said_once_may_stand_for_what_it_says_again(conditions: Conditions) -> None:
    alone, told = (Fleet(2000, 0, conditions, seed=1, real=real).run() for real in (2000, 50))
    assert vars(alone) == vars(told)


def test_the_least_possible_fills_every_minute() -> None:
    tally = least(2500, USUAL)
    assert tally.by_minute(tally.finished) == [1000, 1000, 500]
    assert tally.requests_per_device == 2


def test_clients_with_fixed_intervals_hammer_the_service() -> None:
    for habits, seconds in ((AZURE, 3), (EVERY_5_S, 5)):
        tally = Rivals(habits, 1500, USUAL, seed=1).run()
        assert tally.requests_per_device == pytest.approx(2 + 500 / 1500 * 57 / seconds, rel=0.1)
        assert tally.seconds_to(1) <= least(1500, USUAL).seconds_to(1) + 10


@pytest.mark.parametrize("conditions", [USUAL, OUTAGE, LOSSES], ids=["usual", "outage", "losses"])
@pytest.mark.parametrize("habits", [AZURE, EVERY_5_S], ids=["azure", "every 5 s"])
def test_no_device_gets_lost_among_its_like(habits: Habits, conditions: Conditions) -> None:
    assert Rivals(habits, 1234, conditions, seed=1).run().finished.total() == 1234


@given(moments=st.lists(st.floats(0, 600), min_size=1, max_size=200).map(sorted), wanted=st.integers(1, 20))
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_holds_in_each_minute(name: str, moments: list[float], wanted: int) -> None:
    limit = LIMITS[name](30)
    taken = [(moment, limit.take(moment, wanted)) for moment in moments]
    for minute in range(11):
        within = sum(count for moment, count in taken if minute * 60 <= moment < (minute + 1) * 60)
        assert within <= (30 if name == "window" else 60)
    assert all(0 <= count <= wanted for _, count in taken)


@pytest.mark.parametrize(("told", "retry_after"), [("none", None), ("3", 3), ("next", 40)])
def test_a_refusal_carries_the_chosen_retry_after(told: str, retry_after: int | None) -> None:
    service = Service(Conditions(retry_after=told), Tally(1))
    service.register(20.5, 1000)
    assert service.is_full(20.5)
    topic, _ = service.answer("pi", dps.encode_register_topic("1"), 20.5)
    assert dps.parse_reply_topic(topic) == dps.Reply(429, "1", retry_after)


def test_a_device_may_poll_5_times_in_10_seconds() -> None:
    service = Service(Conditions(polls=100), Tally(1))
    moments = [0, 1, 2, 3, 4, 5, 9.9, 10, 10.5, 11]
    topics = [service.answer("pi", dps.encode_poll_topic("1", "operation"), moment)[0] for moment in moments]
    assert [dps.parse_reply_topic(topic).status for topic in topics] == [202] * 5 + [429] * 2 + [202, 429, 202]


def test_the_table_names_what_misses_the_goal() -> None:
    clients = (None, 0, EVERY_5_S)
    runs = [Run(TOGETHER, 3000, USUAL, client) for client in clients]
    outcomes = {run: least(3000, USUAL) for run in runs}
    outcomes[runs[2]] = Rivals(EVERY_5_S, 3000, USUAL, 1).run()
    rows = list(lines(outcomes))
    assert rows[-2].endswith("   met")
    assert rows[-1].endswith("   missed: requests")


@pytest.mark.full
def test_the_command_prints_the_table_and_draws_the_chart(tmp_path: Path) -> None:
    chart = tmp_path / "chart.png"
    words = [sys.executable, str(CHECKOUT / "packaging"), "simulate", "--devices", "300", "--output", str(chart)]
    ran = subprocess.run(words, check=True, capture_output=True, text=True)
    assert "dpsd, window 20 s" in ran.stdout and str(chart) in ran.stdout
    assert chart.read_bytes().startswith(b"\x89PNG")
