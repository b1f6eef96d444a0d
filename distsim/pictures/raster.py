"""A picture of an output file: raster above, mean activity below.

The raster has a dot for each transition 0 -> 1 (a spike of an MPM). The mean activity
m(t) = sum_i x_i(t) / N follows from the initial state and the events alone, and is averaged over
each of equal intervals of time: exactly, as the differences of its integral, which is linear
between events.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.files.events import Events, read
from distsim.pictures.figure import pyplot as load_pyplot
from distsim.pictures.figure import save

MOST_DOTS = 100_000
INTERVALS = 1000
INK, ACCENT, PALE = "#1b2a41", "#c8553d", "#d9dee5"


def picture(file: str, output: str) -> None:
    """Draw an output file into a picture. Raises InputError."""
    pyplot = load_pyplot()
    events = read(file)
    end = duration(events)
    figure, (above, below) = pyplot.subplots(
        2,
        1,
        sharex=True,
        figsize=(10, 6.5),
        height_ratios=(3, 1),
        layout="constrained",
        facecolor="white",
    )
    _draw_raster(above, events)
    _draw_activity(below, events, end)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
    below.set_xlim(0, end)
    below.set_xlabel("step" if events.config["model"] == "bm" else "model time", color=INK)
    figure.align_ylabels()
    save(figure, output)


def duration(events: Events) -> float:
    """Where the run ended, in model time or steps: as configured, or at its last event."""
    config = events.config
    if config["time"] is not None:
        return float(config["time"])
    if config["steps"] is not None:
        return float(config["steps"])
    if config["sweeps"] is not None:
        return float(config["sweeps"] * events.initial.size)
    return float(events.time[-1])


def mean_activity(events: Events, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of m(t) over each interval between two edges, float64[len(edges) - 1]."""
    times = np.concatenate([[0.0], events.time, edges[-1:]])
    ones = np.cumsum(
        np.concatenate(
            [[events.initial.sum(dtype=np.int64)], 2 * events.state.astype(np.int64) - 1]
        )
    )
    integral = np.concatenate([[0.0], np.cumsum(ones * np.diff(times))])
    reached = np.interp(edges, times, integral)
    means: NDArray[np.float64] = np.diff(reached) / np.diff(edges) / events.initial.size
    return means


def _draw_raster(axes: Any, events: Events) -> None:
    spikes = np.flatnonzero(events.state == 1)
    stride = -(-spikes.size // MOST_DOTS) or 1
    drawn = spikes[::stride]
    size = float(np.clip(20_000 / max(drawn.size, 1), 0.4, 6.0))
    axes.scatter(
        events.time[drawn], events.neuron[drawn], s=size, color=INK, linewidths=0, rasterized=True
    )
    neurons = events.initial.size
    axes.set_ylim(-0.02 * neurons - 0.5, 1.02 * neurons - 0.5)
    axes.set_ylabel("neuron", color=INK)
    config = events.config
    name = "McCulloch-Pitts machine" if config["model"] == "mpm" else "Boltzmann machine"
    network = os.path.basename(config["network"])
    axes.set_title(
        f"{network}, {neurons:,} neurons   {name}, tau {config['tau']:g}",
        loc="left",
        color=INK,
        fontweight="bold",
    )
    shown = f"{spikes.size:,} transitions 0 \N{RIGHTWARDS ARROW} 1"
    if stride > 1:
        shown += f", one in {stride} drawn"
    axes.set_title(shown, loc="right", color=INK, fontsize="small")


def _draw_activity(axes: Any, events: Events, end: float) -> None:
    edges = np.linspace(0.0, end, INTERVALS + 1)
    activity = mean_activity(events, edges)
    axes.fill_between(edges[:-1], activity, step="post", color=PALE, linewidth=0)
    axes.stairs(activity, edges, color=ACCENT, linewidth=1.2, baseline=None)
    axes.set_ylim(0, max(1e-9, 1.15 * float(activity.max())))
    axes.set_ylabel("mean activity", color=INK)
