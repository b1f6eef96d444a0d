"""In which order neurons are drawn, and in which colour: a picture's populations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.pictures.counting import Fired, count
from distsim.pictures.figure import GREY, GROUPS, INK, key, literal
from distsim.pictures.run import SORTS, Run, Selection

HIGH, WIDE = 13, 5  # points that a line of text takes, and a letter
OTHERS = "others"  # of populations beyond the palette


class Order(NamedTuple):
    """neurons: int64[n], from the first that is drawn on; group: of each of all N, int64[N], an
    index into labels, or 0 without populations; labels, colours: of each group."""

    neurons: NDArray[np.int64]
    group: NDArray[np.int64]
    labels: tuple[str, ...]
    colours: tuple[str, ...]

    @property
    def groups(self) -> int:
        """How many colours there are: 1 without populations."""
        return len(self.colours)


def rates(run: Run, window: tuple[float, float]) -> tuple[NDArray[np.float64], float]:
    """Transitions 0 -> 1 of each neuron, a unit of time or a sweep, float64[N], and over how long:
    counted, or where there are no events as observed in the window. Raises InputError."""
    start, stop = window
    if run.transitions:
        fired = Fired(run, start)
        count(run, stop, fired)
        return np.asarray(fired.counts / (stop - start), np.float64), stop - start
    if "rates" not in run.observables:
        raise InputError(
            f"{run.name}: no events and no rates given; allowed: of a run with events, or with "
            "--observe rates"
        )
    part = run.samples(window)
    total, samples = (
        sum(rows.sum(axis=0) for rows in run.rows("rates", part)),
        part.stop - part.start,
    )
    return np.asarray(total / samples, np.float64), samples * float(run.config["every"])


def order(run: Run, selection: Selection) -> Order:
    """Raises InputError for neurons that there are not, and a sort that cannot be."""
    neurons = selection.chosen(run)
    if selection.sort not in SORTS:
        raise InputError(f"sort: {selection.sort} given; allowed: {', '.join(SORTS)}")
    group, labels, colours = _groups(run, neurons)
    if selection.sort == "population":
        if not labels:
            raise InputError(
                f"{run.name}: sort by population given; allowed: of a network with populations"
            )
        neurons = neurons[np.argsort(group[neurons], kind="stable")]
    elif selection.sort == "rate":
        found, _ = rates(run, selection.window(run))
        neurons = neurons[np.argsort(found[neurons], kind="stable")]
    return Order(neurons, group, labels, colours)


def _groups(
    run: Run, neurons: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """Groups, labels and colours: the largest populations of those drawn in the palette's colours,
    the rest as one."""
    if run.population is None:
        return np.zeros(run.neurons, np.int64), (), (INK,)
    names, member = np.unique(np.asarray(run.population, str), return_inverse=True)
    sizes = np.bincount(member[neurons], minlength=names.size)
    largest = np.argsort(-sizes, kind="stable")[: len(GROUPS)]
    kept = [int(k) for k in np.sort(largest) if sizes[k]]
    group = np.full(names.size, len(kept), np.int64)
    group[kept] = np.arange(len(kept))
    labels, colours = tuple(literal(str(names[k])) for k in kept), GROUPS[: len(kept)]
    if np.count_nonzero(sizes) > len(kept):
        labels, colours = (*labels, OTHERS), (*colours, GREY)
    return group[member], labels, colours


def spans(order: Order) -> list[tuple[int, int, int]]:
    """(group, first, stop): the positions that follow each other in one group."""
    groups = order.group[order.neurons]
    starts = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), groups.size]
    return [(int(groups[a]), a, b) for a, b in pairwise(starts) if a < b]


def named(axes: Any, order: Order) -> None:
    """Say in a legend which colour is which population."""
    if order.labels:
        for label, colour in zip(order.labels, order.colours, strict=True):
            axes.plot([], [], "o", markersize=3, color=colour, label=label)
        key(axes)


def label(axis: Any, run: Run, order: Order, sort: str) -> None:
    """Say on an axis which neurons are where: the populations, where they follow each other; names,
    where there is room for them; else numbers, where they have one order."""
    by = "" if sort == "none" else f", by {sort}"
    axis.set_label_text(f"neuron{by}")
    neurons = order.neurons
    if sort == "population":
        parts = [part for part in spans(order) if part[2] - part[1] >= 0.03 * neurons.size]
        texts = [order.labels[group] for group, _, _ in parts]
        _ticks(axis, [(a + b - 1) / 2 for _, a, b in parts], texts)
        for text, (group, _, _) in zip(axis.get_ticklabels(), parts, strict=True):
            text.set_color(order.colours[group])
        axis.set_tick_params(length=0)
    elif neurons.size <= _length(axis) // HIGH:
        texts = [str(i) if run.names is None else literal(run.names[i]) for i in neurons]
        _ticks(axis, range(neurons.size), texts)
    elif sort == "none" and (neurons.size <= 20 or neurons[0] or (np.diff(neurons) != 1).any()):
        places = np.linspace(0, neurons.size - 1, 5).round().astype(int)
        _ticks(axis, places, [str(neurons[k]) for k in places])


def _ticks(axis: Any, places: Sequence[float] | NDArray[np.int64], texts: list[str]) -> None:
    """Texts at places; below an axis upright, if they are too wide for it."""
    axis.set_ticks(places, texts)
    wide = axis.axis_name == "x" and WIDE * (sum(map(len, texts)) + len(texts)) > _length(axis)
    axis.set_tick_params(rotation=90 if wide else 0)


def _length(axis: Any) -> float:
    """Of an axis, in points, nearly: before titles and labels have taken their room."""
    box = axis.axes.get_window_extent()
    pixels = box.width if axis.axis_name == "x" else box.height
    return 0.8 * 72 * float(pixels / axis.axes.figure.dpi)
