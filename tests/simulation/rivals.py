"""Clients with fixed intervals, and the fleet that nothing can beat; both by counts of devices that do the same.

They need no device of their own: who waits for the same moment behaves alike from then on.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from typing import NamedTuple

from tests.simulation.fleet import BOOT, CONNECT_LIMIT, SESSION, STEP_LIMIT
from tests.simulation.limits import LIMITS
from tests.simulation.service import CALLS, POLL_AFTER, Conditions, Service
from tests.simulation.tally import Tally

TICK = 0.1
"""Seconds; devices that start within one go together."""
CONNECT, REGISTER = -1, 0
"""Stages of a device; from 1 on: the so manieth poll."""


class Habits(NamedTuple):
    """Seconds. first_poll: after a registration was accepted. poll: further ones. refused: after a 429.

    restart: after a connection or request that nobody answered. follows: whether a retry-after is followed where it
    stands; azure-iot-device does not see that of the first 202.
    """

    name: str
    first_poll: float
    poll: float
    refused: float
    restart: float
    follows: bool


AZURE = Habits("azure-iot-device", first_poll=2, poll=2, refused=2, restart=10, follows=True)
"""Version 2.14.0, pipeline_stages_provisioning.py; the restart is whoever runs the script, 10 s after it failed."""
EVERY_5_S = Habits("every 5 s", first_poll=5, poll=5, refused=5, restart=5, follows=False)
"""The Rust identity service polls so; here all of its waits are 5 s."""


class Rivals:
    """A fleet with the same habits; the arguments are those of Fleet."""

    def __init__(self, habits: Habits, devices: int, conditions: Conditions, seed: int) -> None:
        self.tally = Tally(devices)
        self._habits = habits
        self._conditions = conditions
        self._service = Service(conditions, self.tally)
        self._random = random.Random(seed)
        self._waiting: Counter[tuple[int, int]] = Counter()
        self._moments: list[tuple[int, int]] = []
        for _ in range(devices):
            self._wait(self._random.random() * BOOT, CONNECT, 1)

    def run(self) -> Tally:
        """Run until every device is provisioned."""
        while self._moments:
            moment = heapq.heappop(self._moments)
            ticks, stage = moment
            self._act(ticks * TICK, stage, self._waiting.pop(moment))
        return self.tally

    def _wait(self, until: float, stage: int, devices: int) -> None:
        moment = (round(until / TICK), stage)
        if devices and moment not in self._waiting:
            heapq.heappush(self._moments, moment)
        if devices:
            self._waiting[moment] += devices

    def _act(self, now: float, stage: int, devices: int) -> None:
        down = self._conditions.is_down(now)
        if stage == CONNECT:
            self.tally.connections += devices
            self._wait(
                now + CONNECT_LIMIT + self._habits.restart if down else now + SESSION, stage + (not down), devices
            )
        elif down:
            self._wait(now + STEP_LIMIT + self._habits.restart, CONNECT, devices)
        else:
            self._ask(now, stage, devices)

    def _ask(self, now: float, stage: int, devices: int) -> None:
        ask = self._service.register if stage == REGISTER else self._service.poll
        taken = ask(now, devices)
        answered, refused = self._arrived(taken), self._arrived(devices - taken)
        lost = devices - answered - refused
        self._wait(now + STEP_LIMIT + self._habits.restart, CONNECT, lost)
        self._wait(now + self._after(self._habits.refused, self._service.retry_after(now)), stage, refused)
        if stage == self._conditions.polls:
            self.tally.finish(now, answered)
        elif stage == REGISTER:
            self._wait(now + self._habits.first_poll, 1, answered)
        else:
            self._wait(now + self._after(self._habits.poll, POLL_AFTER), stage + 1, answered)

    def _after(self, seconds: float, retry_after: int | None) -> float:
        return retry_after if self._habits.follows and retry_after is not None else seconds

    def _arrived(self, replies: int) -> int:
        """Return how many of so many replies are not lost: their expectation, rounded by chance."""
        return replies - int(replies * self._conditions.lost + self._random.random()) if replies else 0


def least(devices: int, conditions: Conditions) -> Tally:
    """Return what a fleet would come to that knows of every free place in time, and takes no other.

    It boots as the others do, and no reply is lost.
    """
    tally = Tally(devices)
    registrations, operations = LIMITS[conditions.limit](CALLS), LIMITS[conditions.limit](CALLS)
    ready: Counter[int] = Counter()
    due = Counter((int(SESSION + BOOT * device / devices), REGISTER) for device in range(devices))
    now = 0
    while tally.finished.total() < devices:
        for stage in range(conditions.polls, REGISTER - 1, -1):
            ready[stage] += due.pop((now, stage), 0)
            limit = registrations if stage == REGISTER else operations
            taken = 0 if conditions.is_down(now) else limit.take(now, ready[stage])
            ready[stage] -= taken
            tally.requests[now] += taken
            if stage == conditions.polls:
                tally.finish(now, taken)
            else:
                due[now + POLL_AFTER, stage + 1] += taken
        now += 1
    return tally
