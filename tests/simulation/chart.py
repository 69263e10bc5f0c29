"""The outcome as a chart of four panels."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, NullFormatter

from tests.simulation.rivals import AZURE, EVERY_5_S
from tests.simulation.runs import DOWN, LOSSES, TOGETHER, Run
from tests.simulation.service import CALLS
from tests.simulation.table import REQUESTS
from tests.simulation.tally import Tally

Outcomes = Mapping[Run, Tally]
GREY = "0.4"
DOTTED = (0, (1, 1.5))


def draw(outcomes: Outcomes, path: Path) -> None:
    """Write the chart to `path`."""
    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = pyplot.subplots(2, 2, figsize=(12, 8.6), layout="constrained")
    together = of(outcomes, TOGETHER)
    share(panels[0][0], together, "Provisioned")
    rate(panels[0][1], together)
    share(panels[1][0], of(outcomes, DOWN), "Provisioned, where nothing answers for 30 minutes")
    bars(panels[1][1], outcomes)
    devices = next(iter(outcomes)).devices
    taken = f"DPS takes {CALLS:,} registrations and {CALLS:,} polls a minute"
    figure.suptitle(f"{devices:,} devices boot within 5 seconds; {taken}\n", fontsize=12)
    figure.legend(
        *panels[0][0].get_legend_handles_labels(),
        loc="upper center",
        ncols=5,
        frameon=False,
        bbox_to_anchor=(0.5, 0.975),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def of(outcomes: Outcomes, scenario: str) -> Outcomes:
    return {run: tally for run, tally in outcomes.items() if run.scenario == scenario}


def style(run: Run) -> dict[str, Any]:
    """Return how a client is drawn everywhere; the least and the rivals lie on each other and must be told apart."""
    if run.client is None:
        return {"color": "black", "linestyle": DOTTED, "linewidth": 2.2, "zorder": 6}
    if run.client == AZURE:
        return {"color": "#d55e00", "linewidth": 4, "zorder": 3}
    if run.client == EVERY_5_S:
        return {"color": "#f2c14e", "linewidth": 8, "zorder": 2}
    return {"color": "#009e73" if run.client else "#0072b2", "linewidth": 2, "zorder": 5}


def share(panel: Any, outcomes: Outcomes, title: str) -> None:
    """Draw which part is provisioned by when."""
    for run, tally in outcomes.items():
        parts = [100 * done / tally.devices for done in accumulate(tally.by_minute(tally.finished))]
        panel.plot(range(1, len(parts) + 1), parts, label=run.name, **style(run))
    outage = next(iter(outcomes)).conditions.outage
    if outage[1]:
        panel.axvspan(outage[0] / 60, outage[1] / 60, color="0.93", zorder=0)
        panel.text(sum(outage) / 120, 96, "outage", ha="center", va="top", color=GREY)
    panel.set(title=title, xlabel="minutes", ylabel="% of the devices", ylim=(0, 104), xlim=(0, None))
    panel.grid(color="0.92")


def rate(panel: Any, outcomes: Outcomes) -> None:
    """Draw how many requests reach the service in each minute."""
    for run, tally in outcomes.items():
        if run.client is not None:
            counts = [count or None for count in tally.by_minute(tally.requests)]
            panel.plot(range(1, len(counts) + 1), counts, **style(run))
    panel.axhline(2 * CALLS, color="black", linestyle=DOTTED, linewidth=1.2)
    panel.text(1, 2 * CALLS * 0.8, " let through by DPS", va="top", color=GREY)
    panel.set(title="Requests a minute", xlabel="minutes", yscale="log", xlim=(0, None), ylim=(10, None))
    plain(panel.yaxis)
    panel.grid(color="0.92")


def bars(panel: Any, outcomes: Outcomes) -> None:
    """Draw how many requests a device needs, beside what it would need at least."""
    needed = next(iter(outcomes.values())).requests_per_device
    for value, said, side in ((needed, "needed ", "right"), (needed * REQUESTS, " goal", "left")):
        panel.axvline(value, color="black", linewidth=1.2, linestyle=DOTTED, zorder=0)
        panel.text(value, -1, said, ha=side, va="center", color=GREY)
    most = max(tally.requests_per_device for tally in outcomes.values())
    rows: list[str] = []
    titles = {"boot together": TOGETHER, "and an outage": DOWN, "and lost replies": LOSSES}
    for title, scenario in titles.items():
        rows.append(title)
        for run, tally in of(outcomes, scenario).items():
            if run.client is not None:
                bar(panel, len(rows), tally.requests_per_device, style(run)["color"])
                rows.append(run.name)
    panel.set_yticks(range(len(rows)), rows)
    for label in panel.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in titles else "normal")
    panel.tick_params(axis="y", length=0)
    panel.set(title="Requests of a device", xscale="log", xlim=(0.7, most * 2), ylim=(len(rows) - 0.4, -1.5))
    plain(panel.xaxis)


def bar(panel: Any, place: int, value: float, color: str) -> None:
    drawn = panel.barh(place, value, color=color, height=0.75)
    blank = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    panel.bar_label(drawn, [f"{value:,.1f}"], padding=4, bbox=blank)


def plain(axis: Any) -> None:
    """Write 10,000 rather than a power."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())
