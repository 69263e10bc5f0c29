"""Which fleets are simulated, and how each of them goes."""

from __future__ import annotations

import math
from typing import NamedTuple

from tests.simulation.fleet import Fleet
from tests.simulation.rivals import AZURE, EVERY_5_S, Habits, Rivals, least
from tests.simulation.service import Conditions
from tests.simulation.tally import Tally

DEVICES_A_SECOND = 15
"""What docs/fleet.md says of the window: devices / 15 seconds, a tenth longer than the service needs."""
OUTAGE = 1800
"""Seconds."""
LOST = 0.05
SMALL = (10, 100, 1000, 2000, 10_000)
VOLATILE_WINDOW = 60
"""Seconds, the default of `fleet.volatile_window`."""
TOGETHER, DOWN, LOSSES = (
    "boot together",
    "boot together, and nothing answers for 30 min",
    "boot together, and 5 % of replies are lost",
)
SMALLER = "smaller fleets boot together"


class Run(NamedTuple):
    """One fleet. client: dpsd with this window in seconds, or a rival's habits; None: the least that is possible."""

    scenario: str
    devices: int
    conditions: Conditions
    client: int | Habits | None

    @property
    def name(self) -> str:
        if self.client is None:
            return "the least possible"
        if isinstance(self.client, Habits):
            return self.client.name
        return f"dpsd, window {shown(self.client)}" if self.client else "dpsd, no window"


def shown(seconds: int) -> str:
    """Return seconds as people say them."""
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def window_for(devices: int) -> int:
    """Return seconds, as docs/fleet.md advises."""
    return math.ceil(devices / DEVICES_A_SECOND)


def runs(devices: int, conditions: Conditions) -> list[Run]:
    """Return all runs, those of one scenario side by side."""
    middle = least(devices, conditions).seconds_to(1) / 2
    start = max(0.0, middle - OUTAGE / 2)
    down, losses = conditions._replace(outage=(start, start + OUTAGE)), conditions._replace(lost=LOST)
    usual = (window_for(devices), AZURE, EVERY_5_S)
    return [
        *(Run(TOGETHER, devices, conditions, client) for client in (None, 0, *usual)),
        *(Run(DOWN, devices, down, client) for client in (None, 0, *usual)),
        *(Run(LOSSES, devices, losses, client) for client in (None, *usual)),
        *(Run(SMALLER, few, conditions, client) for few in SMALL for client in (None, 0, VOLATILE_WINDOW)),
    ]


def play(run: Run, seed: int) -> Tally:
    """Run it to its end."""
    if run.client is None:
        return least(run.devices, run.conditions)
    if isinstance(run.client, Habits):
        return Rivals(run.client, run.devices, run.conditions, seed).run()
    return Fleet(run.devices, run.client, run.conditions, seed).run()
