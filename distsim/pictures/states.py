"""The observed states as an image: a row a sample, a column a neuron; where there are more than
pixels, the share in state 1 of a cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from distsim.pictures.figure import INK, plain, scale, shares
from distsim.pictures.order import label, order, spans
from distsim.pictures.run import Run, Selection


def lacks(run: Run) -> str | None:
    """Why no samples of this run can be drawn."""
    if "samples" not in run.observables:
        return "no samples observed; allowed: of a run with --observe samples"
    found = run.observed_at.size
    return None if found >= 2 else f"{found} samples observed; allowed: 2 or more"


def samples(run: Run, selection: Selection, panels: list[Any]) -> str:
    """Time goes down."""
    axes, drawn = panels[0], order(run, selection)
    part = run.samples(selection.window(run))
    count, size = part.stop - part.start, drawn.neurons.size
    width, height = (int(pixels) for pixels in axes.get_window_extent().size)
    columns, rows = min(width, size), min(height, count)
    starts = -(-np.arange(columns) * size // columns)  # neuron k is in column k * columns // size
    ones, seen = np.zeros((rows, columns)), 0
    for bits in run.rows("samples", part):
        states = np.unpackbits(bits, axis=1, count=run.neurons)[:, drawn.neurons]
        row = (seen + np.arange(len(states))) * rows // count
        np.add.at(ones, row, np.add.reduceat(states, starts, axis=1, dtype=np.float64))
        seen += len(states)
    heights = np.bincount(np.arange(count) * rows // count, minlength=rows)
    ones /= np.outer(heights, np.diff([*starts, size]))
    times, half = run.observed_at[part], float(run.config["every"]) / 2
    extent = (-0.5, size - 0.5, times[-1] + half, times[0] - half)
    plain(axes)
    image = axes.imshow(ones, extent=extent, aspect="auto", **shares(INK))
    label(axes.xaxis, run, drawn, selection.sort)
    axes.set_ylabel(run.clock)
    if selection.sort == "population":
        for _, first, _ in spans(drawn)[1:]:
            axes.axvline(first - 0.5, color=INK, linewidth=0.5)
    if (rows, columns) == (count, size):
        return f"{count:,} samples; dark: state 1"
    scale(axes, image, "share in state 1")
    return f"{count:,} samples"
