"""The rate of each neuron, transitions 0 -> 1 a unit of time (MPM) or a sweep (BM), and how many
neurons have which."""

from __future__ import annotations

from typing import Any

import numpy as np

from distsim.pictures.figure import GREY, plain
from distsim.pictures.order import label, named, order, rates
from distsim.pictures.run import Run, Selection

BINS = 40  # at most, each of as many numbers of transitions


def lacks(run: Run) -> str | None:
    """Why no rates of this run can be drawn."""
    if run.end > 0 and (run.transitions or "rates" in run.observables):
        return None
    return "no events and no rates given; allowed: with events, or --observe rates"


def draw(run: Run, selection: Selection, panels: list[Any]) -> str:
    """A dot a neuron; on a second axes, if there is one, a histogram."""
    axes, drawn = panels[0], order(run, selection)
    found, over = rates(run, selection.window(run))
    found = found[drawn.neurons]
    group = drawn.group[drawn.neurons]
    plain(axes)
    for number, colour in enumerate(drawn.colours):
        mine = np.flatnonzero(group == number)
        axes.scatter(
            mine, found[mine], s=float(np.clip(2_000 / found.size, 1.5, 12.0)), color=colour,
            linewidths=0, zorder=2, rasterized=found.size > 5_000,
        )  # fmt: skip
    axes.axhline(float(found.mean()), color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    axes.set_ylim(0, max(1e-9, 1.05 * float(found.max())))
    axes.set_ylabel("rate, a sweep" if run.bm else "rate, a unit of time")
    axes.margins(x=0.02)
    label(axes.xaxis, run, drawn, selection.sort)
    if selection.sort != "population":
        named(axes, drawn)
    for beside in panels[1:]:
        plain(beside)
        most = round(float(found.max()) * over)  # transitions of one neuron
        wide = most // BINS + 1
        edges = (np.arange(0, most + wide + 1, wide) - 0.5) / over
        beside.hist(
            [found[group == number] for number in range(drawn.groups)], edges,
            color=list(drawn.colours), stacked=True, orientation="horizontal",
        )  # fmt: skip
        beside.axhline(float(found.mean()), color=GREY, linewidth=0.8, linestyle="--")
        beside.set_xlabel("neurons")
    return f"mean {found.mean():.3g} (dashed); silent neurons: {np.count_nonzero(found == 0):,}"
