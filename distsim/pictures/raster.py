"""When neurons fire: the raster, and with it the rate and the share of neurons in state 1.

The raster has a dot for each transition 0 -> 1 (a spike of an MPM). Where there are too many for
dots it is an image of cells of about two pixels that says how many each has, in shades by their
square root, which has the same noise for many as for few. Below it, over equal intervals: the rate,
transitions 0 -> 1 a neuron a unit of time (MPM) or a sweep (BM), and the share of neurons in state
1, refractory ones of an MPM.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.pictures.counting import Course, Grid, count
from distsim.pictures.figure import ACCENT, PALE, SECOND, plain, scale, shades
from distsim.pictures.order import Order, label, named, order
from distsim.pictures.run import Run, Selection

INTERVALS = 200
PIXELS = 2  # of a cell, in both directions
FEWEST_LINES = 5_000  # dots that a file of lines has one by one


def lacks(run: Run) -> str | None:
    """Why there is no raster of this run."""
    if run.transitions and run.end > 0:
        return None
    return "no events given; allowed: an output file that has some"


def raster(run: Run, selection: Selection, panels: list[Any]) -> str:
    """Draw it on one axes; what it shows."""
    window, drawn = selection.window(run), order(run, selection)
    grid = _grid(panels[0], run, drawn, window)
    count(run, window[1], grid)
    return _raster(panels[0], run, selection, drawn, grid)


def overview(run: Run, selection: Selection, panels: list[Any]) -> str:
    """Raster, rate and share on three axes, in one pass over the events."""
    window, drawn = selection.window(run), order(run, selection)
    edges = np.linspace(*window, INTERVALS + 1)
    grid, course = _grid(panels[0], run, drawn, window), Course(run, edges, drawn.neurons)
    count(run, window[1], grid, course)
    shown = _raster(panels[0], run, selection, drawn, grid)
    panels[0].set_xlabel("")
    steps(panels[1], course.counts / (np.diff(edges) * drawn.neurons.size), edges, ACCENT)
    panels[1].set_ylabel("rate\na sweep" if run.bm else "rate\na unit of time")
    steps(panels[2], course.mean(), edges, SECOND)
    panels[2].set_ylabel("share in\nstate 1" if run.bm else "share\nrefractory")
    panels[2].set_xlabel(run.clock)
    return shown


def steps(axes: Any, values: NDArray[np.float64], edges: NDArray[np.float64], colour: str) -> None:
    """Means over intervals."""
    plain(axes)
    axes.stairs(values, edges, fill=True, color=PALE)
    axes.stairs(values, edges, color=colour, linewidth=1.2, baseline=None)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, max(1e-9, 1.15 * float(values.max())))


def _grid(axes: Any, run: Run, drawn: Order, window: tuple[float, float]) -> Grid:
    """About two pixels a cell; a row a neuron where there are fewer."""
    columns, rows = (int(size) // PIXELS for size in axes.get_window_extent().size)
    size = drawn.neurons.size
    rows = max(1, min(rows, size))
    row = np.full(run.neurons, -1)
    row[drawn.neurons] = np.arange(size) * rows // size
    return Grid(np.linspace(*window, max(1, columns) + 1), row, rows, drawn.group, drawn.groups)


def _raster(axes: Any, run: Run, selection: Selection, drawn: Order, grid: Grid) -> str:
    plain(axes)
    size = drawn.neurons.size
    start, stop = selection.window(run)
    axes.set_xlim(start, stop)
    axes.set_ylim(-0.5 - 0.01 * size, size - 0.5 + 0.01 * size)
    axes.set_xlabel(run.clock)
    label(axes.yaxis, run, drawn, selection.sort)
    if selection.sort != "population":
        named(axes, drawn)
    shown = f"{grid.total:,} transitions 0 \N{RIGHTWARDS ARROW} 1"
    if grid.dots is not None:
        _dots(axes, run, drawn, *grid.dots)
        return shown
    most = int(grid.counts.max())
    for counts, colour in zip(grid.counts, drawn.colours, strict=True):
        image = axes.imshow(
            np.ma.masked_equal(counts, 0),
            origin="lower",
            aspect="auto",
            extent=(start, stop, -0.5, size - 0.5),
            **shades(colour, most),
        )
    if drawn.groups == 1:
        ticks = sorted({max(1, most // 16), max(1, most // 4), most})
        scale(axes, image, "in a cell", ticks=ticks)
    return f"{shown}; at most {most:,} in a cell"


def _dots(
    axes: Any, run: Run, drawn: Order, time: NDArray[np.float64], neuron: NDArray[np.int64]
) -> None:
    place = np.empty(run.neurons, np.int64)
    place[drawn.neurons] = np.arange(drawn.neurons.size)
    area = float(np.clip(10_000 / max(time.size, 1), 0.3, 5.0))
    for number, colour in enumerate(drawn.colours):
        mine = drawn.group[neuron] == number
        axes.scatter(
            time[mine],
            place[neuron[mine]],
            s=area,
            color=colour,
            linewidths=0,
            rasterized=time.size > FEWEST_LINES,
        )
