"""Devices with dpsd, as events in simulated time: the real registration machine, topics, bodies, retry policy
and counting of failures.

What is modelled is what surrounds them: the time that a session takes, and time limits. Every random number comes from
one seed.

Of more than 100,000 devices, the others take one thing from these: which Problem the machine makes of a 429 to a
register request. That is most of what happens in a large fleet, and always the same.
"""

from __future__ import annotations

import heapq
import random

from dpsd.errors import Problem
from dpsd.protocol.registration import Finish, Publish, Registration, Wait
from dpsd.protocol.retry import Failures, choose_delay
from tests.simulation.service import Conditions, Service
from tests.simulation.tally import Tally

BOOT = 5.0
"""Seconds within which all devices start."""
SESSION = 1.0
"""Seconds from the start of an attempt to its first request: process, TCP, TLS, CONNECT, SUBSCRIBE."""
CONNECT_LIMIT, STEP_LIMIT = 10.0, 30.0
"""Seconds until a connection, and a request, that nobody answers is given up (docs/problems.md, `no-answer`)."""


REAL = 100_000


class Device:
    """machine: of the attempt that is going on; operation_id: what the next one resumes."""

    __slots__ = ("failures", "machine", "name", "operation_id")

    def __init__(self, name: str) -> None:
        self.name = name
        self.machine: Registration | None = None
        self.operation_id: str | None = None
        self.failures = Failures()


class Fleet:
    """devices: how many; window: the setting `fleet.window`, seconds; real: how many take nothing from others."""

    def __init__(self, devices: int, window: float, conditions: Conditions, seed: int, real: int = REAL) -> None:
        self.tally = Tally(devices)
        self._devices = [Device(f"pi-{number:07}") for number in range(devices)]
        self._window = window
        self._real = real
        self._conditions = conditions
        self._service = Service(conditions, self.tally)
        self._random = random.Random(seed).random
        self._refusals: dict[int | None, Problem] = {}
        self._events = [(self._first_attempt(), number) for number in range(devices)]

    def run(self) -> Tally:
        """Run until every device is provisioned."""
        events = self._events
        heapq.heapify(events)
        while events:
            now, number = heapq.heappop(events)
            device = self._devices[number]
            then = (self._refused(device, now) if number >= self._real else None) or self._act(device, now)
            if then is not None:
                heapq.heappush(events, (then, number))
        return self.tally

    def _first_attempt(self) -> float:
        waits = Problem("fleet-spread", "", window=self._window)
        turn = choose_delay(waits, Failures().after(waits).of(waits), self._random())
        assert turn is not None
        return self._random() * BOOT + turn + SESSION

    def _refused(self, device: Device, now: float) -> float | None:
        """Act as another device did whose register request got the same 429; None where this is something else."""
        known = self._refusals.get(self._service.retry_after(now))
        if known is None or device.machine is not None or device.operation_id is not None:
            return None
        if self._conditions.is_down(now) or not self._service.is_full(now):
            return None
        self.tally.connections += 1
        self._service.register(now)
        return self._unheard(device, now) or self._failed(device, known, now)

    def _act(self, device: Device, now: float) -> float | None:
        """Let a device do what is due; return when it has to do something again, None when it is provisioned."""
        if device.machine is not None:
            return self._ask(device, device.machine, device.machine.waited(), now)
        self.tally.connections += 1
        if self._conditions.is_down(now):
            return self._failed(device, Problem("no-answer", ""), now + CONNECT_LIMIT)
        device.machine = machine = Registration(device.name, None, "token", device.operation_id)
        machine.start()
        return self._ask(device, machine, machine.subscribed(), now)

    def _ask(self, device: Device, machine: Registration, request: Publish, now: float) -> float | None:
        if self._conditions.is_down(now):
            return self._failed(device, Problem("no-answer", ""), now + STEP_LIMIT)
        reply = self._service.answer(device.name, request.topic, now)
        unheard = self._unheard(device, now)
        if unheard is not None:
            return unheard
        try:
            action = machine.received(*reply)
        except Problem as problem:
            if machine.operation_id is None:
                self._refusals[self._service.retry_after(now)] = problem
            return self._failed(device, problem, now)
        if isinstance(action, Wait):
            return now + action.seconds
        assert isinstance(action, Finish), "nothing that this service answers is ignored or starts over"
        device.machine = None
        self.tally.finish(now)
        return None

    def _unheard(self, device: Device, now: float) -> float | None:
        """Lose the reply, or do not; return when the next attempt has its session."""
        if self._conditions.lost and self._random() < self._conditions.lost:
            return self._failed(device, Problem("no-answer", ""), now + STEP_LIMIT)
        return None

    def _failed(self, device: Device, problem: Problem, now: float) -> float:
        """End the attempt as the daemon does; return when the next one has its session."""
        if device.machine is not None:
            device.operation_id, device.machine = device.machine.operation_id, None
        device.failures = device.failures.after(problem)
        problem.window = self._window
        seconds = choose_delay(problem, device.failures.of(problem), self._random())
        assert seconds is not None
        return now + seconds + SESSION
