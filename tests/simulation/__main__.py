"""What `./dev simulate` runs: the fleets, on all cores; then the table and the chart."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.simulation.chart import draw
from tests.simulation.limits import LIMITS
from tests.simulation.runs import Run, play, runs
from tests.simulation.service import Conditions
from tests.simulation.table import lines
from tests.simulation.tally import Tally
from workshop.dev import places


def main() -> int:
    options = parser().parse_args()
    conditions = Conditions(limit=options.limit, retry_after=options.retry_after, polls=options.polls)
    started = time.monotonic()
    outcomes = play_all(runs(options.devices, conditions), options.seed)
    print("\n".join(lines(outcomes)))
    path = Path(options.output or places.BUILD / f"simulation/{options.devices}-devices.png")
    draw(outcomes, path)
    print(f"\n{path} ({time.monotonic() - started:.0f} s)")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="./dev simulate", description="A fleet that boots together, with dpsd and with other clients."
    )
    add = made.add_argument
    add("--devices", type=at_least_one, default=100_000, help="how many there are (default: %(default)s)")
    add("--seed", type=int, default=1, help="of all random numbers (default: %(default)s)")
    add("--limit", choices=list(LIMITS), default="window", help="how DPS counts 1,000 a minute (default: %(default)s)")
    add(
        "--retry-after",
        type=retry_after,
        default="3",
        metavar="none|next|SECONDS",
        help="of a 429; next: until a request may get through again (default: %(default)s)",
    )
    add("--polls", type=at_least_one, default=1, help="until a device is assigned (default: %(default)s)")
    add("--output", metavar="PNG", help="where the chart goes (default: below build/simulation)")
    return made


def at_least_one(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def retry_after(text: str) -> str:
    if text not in ("none", "next"):
        at_least_one(text)
    return text


def play_all(chosen: list[Run], seed: int) -> dict[Run, Tally]:
    """Play the runs side by side, the longest first; return their outcomes in the given order."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        longest_first = sorted(chosen, key=lambda run: (run.client != 0, -run.devices))
        playing = {run: pool.submit(play, run, seed) for run in longest_first}
        return {run: playing[run].result() for run in chosen}


if __name__ == "__main__":
    sys.exit(main())
