"""A picture of an output file: raster, rate, and share of neurons in state 1.

The raster has a dot for each transition 0 -> 1 (a spike of an MPM). Below, over equal intervals of
time: the rate, transitions 0 -> 1 a neuron a unit of time (MPM) or a sweep (BM), and the share of
neurons in state 1, refractory ones of an MPM,

    m(t) = sum_i x_i(t) / N,

which follows from the initial state and the events alone and is averaged exactly, as the
differences of its integral, which is linear between events.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files.events import Events, end, read
from distsim.pictures.figure import ACCENT, INK, PALE, SECOND, new_figure, plain, save

MOST_DOTS = 100_000
INTERVALS = 200


def picture(file: str, output: str) -> None:
    """Draw an output file, partial ones as far as they go. Raises InputError."""
    figure = new_figure(10, 7.5)
    events = read(file)
    last = duration(events)
    if last == 0 or not events.config.get("events", True):
        raise InputError(f"{file}: no events given; allowed: an output file that has some")
    edges = np.linspace(0.0, last, INTERVALS + 1)
    bm = events.config["model"] == "bm"
    raster, rate, share = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
    _draw_raster(raster, events)
    unit = "sweep" if bm else "unit of time"
    _draw_steps(rate, mean_rate(events, edges), edges, f"rate\na {unit}", ACCENT)
    name = "share of neurons\nin state 1" if bm else "share of neurons\nrefractory"
    _draw_steps(share, mean_activity(events, edges), edges, name, SECOND)
    for axes in (raster, rate, share):
        plain(axes)
    share.set_xlim(0, last)
    share.set_xlabel("step" if bm else "model time", color=INK)
    figure.align_ylabels()
    save(figure, output)


def duration(events: Events) -> float:
    """Where the run ended, in model time or steps: as configured, or at its last event."""
    return end(events.config, events.initial.size, events.time, partial=events.partial)


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


def mean_rate(events: Events, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transitions 0 -> 1 a neuron a unit of time, or a sweep (BM), float64[len(edges) - 1]."""
    neurons = events.initial.size
    spikes = events.time[events.state == 1]
    unit = neurons if events.config["model"] == "bm" else 1
    counts = np.histogram(spikes, edges)[0]
    rates: NDArray[np.float64] = counts * unit / (np.diff(edges) * neurons)
    return rates


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


def _draw_steps(
    axes: Any, values: NDArray[np.float64], edges: NDArray[np.float64], name: str, colour: str
) -> None:
    axes.stairs(values, edges, fill=True, color=PALE)
    axes.stairs(values, edges, color=colour, linewidth=1.2, baseline=None)
    axes.set_ylim(0, max(1e-9, 1.15 * float(values.max())))
    axes.set_ylabel(name, color=INK)
