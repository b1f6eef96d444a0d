"""What is between two neurons: their correlation, and W as a Hinton diagram.

A Hinton diagram (G. Hinton and T. Shallice, Psychological Review 98, 1991; D. Rumelhart et al.,
Parallel Distributed Processing, 1986) has a square a weight: its area is the weight's size, its
colour the sign. Rows are the neurons onto which, columns those from which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files.events import BLOCK
from distsim.pictures.figure import ACCENT, INK, diverging, key, scale, squares
from distsim.pictures.order import Order, label, order, spans
from distsim.pictures.run import Run, Selection

LARGEST = 4096  # neurons of a matrix of correlations
SQUARES = 100  # neurons whose weights have a square each
BLOCKS = 50  # of as many neurons each, where they are more
MOST_WEIGHTS = 2 * 10**9  # that are read for a picture


# -------------------------------------------------------------------------------- correlation
def lacks_correlation(run: Run) -> str | None:
    """Why no correlation of this run can be drawn."""
    if not {"moments", "samples"} & set(run.observables):
        return "no moments and no samples observed; allowed: of a run with --observe moments"
    found = run.observed_at.size
    return None if found >= 2 else f"{found} samples observed; allowed: 2 or more"


def correlation(run: Run, selection: Selection, panels: list[Any]) -> str:
    """The matrix as an image; neurons that never change are left out of it, pale."""
    axes, drawn = panels[0], order(run, _of_moments(run, selection))
    matrix, shown = _correlations(run, selection, drawn.neurons)
    size = drawn.neurons.size
    off = np.abs(matrix[~np.eye(size, dtype=bool)])
    most = float(np.nanmax(off, initial=0.0)) if np.isfinite(off).any() else 0.0
    image = axes.imshow(np.ma.masked_invalid(matrix), **diverging(most or 1.0))
    _framed(axes, run, drawn, selection.sort)
    scale(axes, image, "correlation", extend="max" if 0 < most < 1 else "neither")
    still = int(np.count_nonzero(np.isnan(np.diag(matrix))))
    return shown + (f"; neurons that never change: {still:,}" if still else "")


def _of_moments(run: Run, selection: Selection) -> Selection:
    """A selection of the neurons whose moments there are, where nothing else was asked for."""
    if "samples" in run.observables or selection.neurons is not None:
        return selection
    of = tuple(np.asarray(run.observables["moments_of"]).tolist())
    return Selection(selection.start, selection.stop, of, selection.sort)


def _correlations(
    run: Run, selection: Selection, neurons: NDArray[np.int64]
) -> tuple[NDArray[np.float64], str]:
    """Of these neurons, float64[n, n], NaN where one never changes; and of what."""
    if neurons.size > LARGEST:
        raise InputError(
            f"{run.name}: the correlation of {neurons.size:,} neurons given; allowed: "
            f"{LARGEST:,} at most"
        )
    whole = selection.start is None and selection.stop is None
    if whole and "moments" in run.observables:
        place = np.full(run.neurons, -1)
        of = np.asarray(run.observables["moments_of"])
        place[of] = np.arange(of.size)
        places = place[neurons]
        if (places >= 0).all():
            count = int(run.observables["moments_count"])
            products = np.asarray(run.observables["moments"])[np.ix_(places, places)]
            return _normalised(products, count), f"moments of {count:,} samples"
    if "samples" not in run.observables:
        raise InputError(
            f"{run.name}: moments are of the whole run and of the neurons of --moments-of; "
            "allowed: no other ones and no part of the time, or a run with --observe samples"
        )
    part = run.samples(selection.window(run))
    total = np.zeros((neurons.size, neurons.size))
    for rows in run.rows("samples", part):
        states = np.unpackbits(rows, axis=1, count=run.neurons)[:, neurons].astype(np.float64)
        total += states.T @ states
    return _normalised(total, part.stop - part.start), f"{part.stop - part.start:,} samples"


def _normalised(products: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Correlations of sums of x_i x_j over `count` samples."""
    mean = np.diag(products) / count
    covariance = products / count - np.outer(mean, mean)
    spread = np.sqrt(mean * (1 - mean))
    spread[spread == 0] = np.nan
    found: NDArray[np.float64] = covariance / np.outer(spread, spread)
    return found


# ------------------------------------------------------------------------------------ weights
def lacks_weights(run: Run) -> str | None:
    """Why the weights of this run cannot be drawn."""
    try:
        network = run.weights
    except InputError as error:
        return str(error)
    if network.neurons != run.neurons:
        return (
            f"its network has {network.neurons:,} neurons now, the run had {run.neurons:,}; "
            "allowed: the same network"
        )
    return None


def weights(run: Run, selection: Selection, panels: list[Any]) -> str:
    """The Hinton diagram of W; of more than 100 neurons that of the means of blocks."""
    axes, drawn = panels[0], order(run, selection)
    size = drawn.neurons.size
    if size * run.neurons > MOST_WEIGHTS:
        raise InputError(
            f"{run.name}: {size:,} rows of {run.neurons:,} weights given; allowed: "
            f"{MOST_WEIGHTS // run.neurons:,} rows at most, by --neurons"
        )
    blocks = size if size <= SQUARES else BLOCKS
    means = block_means(run, drawn.neurons, blocks)
    most = float(np.abs(means).max())
    onto, source = np.nonzero(means)
    values = means[onto, source]
    width = size / blocks
    colours = np.where(values > 0, ACCENT, INK)
    sides = 0.95 * width * np.sqrt(np.abs(values) / (most or 1.0))
    x, y = ((place + 0.5) * width - 0.5 for place in (source, onto))
    squares(axes, x, y, sides, colours.tolist())
    axes.set_aspect("equal")
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    _framed(axes, run, drawn, selection.sort)
    axes.set_xlabel("from " + axes.get_xlabel())
    axes.set_ylabel("onto " + axes.get_ylabel())
    for name, colour in (("above 0", ACCENT), ("below 0", INK)):
        axes.plot([], [], "s", color=colour, label=name, markersize=4)
    key(axes)
    of = "" if blocks == size else f"means of {blocks} x {blocks} blocks; "
    return f"{of}the largest square: {most:.3g}"


def block_means(run: Run, neurons: NDArray[np.int64], blocks: int) -> NDArray[np.float64]:
    """Means of W over blocks of these neurons in their order, float64[blocks, blocks]."""
    size = neurons.size
    block = np.arange(size) * blocks // size
    starts = np.searchsorted(block, np.arange(blocks))
    sums = np.zeros((blocks, blocks))
    by_number = np.argsort(neurons, kind="stable")
    for first, tile in _tiles(run, neurons[by_number]):
        mine = block[by_number[first : first + len(tile)]]
        np.add.at(sums, mine, np.add.reduceat(tile[:, neurons], starts, axis=1))
    sizes = np.bincount(block, minlength=blocks)
    means: NDArray[np.float64] = sums / np.outer(sizes, sizes)
    return means


def _tiles(run: Run, rising: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The rows of W of rising neurons, a few at a time, and the place of their first."""
    height = max(1, BLOCK // run.neurons)
    place = 0
    for part in np.split(rising, np.flatnonzero(np.diff(rising) != 1) + 1):
        for start in range(int(part[0]), int(part[-1]) + 1, height):
            tile = run.weights.rows(start, min(start + height, int(part[-1]) + 1))
            yield place, tile
            place += len(tile)


def _framed(axes: Any, run: Run, drawn: Order, sort: str) -> None:
    """Neurons on both axes, and lines between populations that follow each other."""
    for axis in (axes.xaxis, axes.yaxis):
        label(axis, run, drawn, sort)
    if sort == "population":
        for _, first, _ in spans(drawn)[1:]:
            axes.axhline(first - 0.5, color=INK, linewidth=0.5)
            axes.axvline(first - 0.5, color=INK, linewidth=0.5)
