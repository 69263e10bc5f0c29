"""The outcome as a table. The goal of each row: 99 % within 1.2 times the least time, by 1.5 times the requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.simulation.runs import Run
from tests.simulation.tally import Tally

TIME, REQUESTS = 1.2, 1.5
HEAD = (
    f"{'':37}     50 %      99 %     100 %     99 %  requests      of  sessions     peak",
    f"{'devices':>9}  {'client':26}                                /least   /device  needed   /device       /s   goal",
)


def lines(outcomes: Mapping[Run, Tally]) -> Iterator[str]:
    """Yield the lines of the table. Runs of one scenario follow each other, those of one size after their least."""
    scenario, fewest = "", next(iter(outcomes.values()))
    for run, tally in outcomes.items():
        if run.scenario != scenario:
            scenario = run.scenario
            yield from ("", scenario.capitalize(), *HEAD)
        if run.client is None:
            fewest = tally
        yield line(run, tally, fewest)


def line(run: Run, tally: Tally, fewest: Tally) -> str:
    """Return one row. fewest: the tally of the least possible."""
    times = "".join(f"{shown(tally.seconds_to(share)):>10}" for share in (0.5, 0.99, 1))
    slower, more = ratios(tally, fewest)
    requests = f"{slower:9.2f}{tally.requests_per_device:10.2f}{more:8.2f}{tally.connections_per_device:10.2f}"
    verdict = "" if run.client is None else goal(slower, more)
    return f"{run.devices:9,}  {run.name:25}{times}{requests}{tally.peak:9,}   {verdict}".rstrip()


def ratios(tally: Tally, fewest: Tally) -> tuple[float, float]:
    """Return time to 99 %, and requests, as multiples of the least possible."""
    return (
        tally.seconds_to(0.99) / fewest.seconds_to(0.99),
        tally.requests_per_device / fewest.requests_per_device,
    )


def goal(slower: float, more: float) -> str:
    """Say whether the goal is met, and if not, what misses it."""
    missed = [name for name, misses in (("time", slower > TIME), ("requests", more > REQUESTS)) if misses]
    return f"missed: {' and '.join(missed)}" if missed else "met"


def shown(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.1f} min"
