"""What a run has in numbers: its observables, over samples or neurons, and its network."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.files.events import BLOCK
from distsim.pictures.counting import Course, Fired, count
from distsim.pictures.run import Run

MOST_COUNTED = 10**8  # weights that are read to count connections
SERIES = ("energy", "cut", "activity", "mean_activity")
OF_NEURONS = ("rates", "occupation")


class Spread(NamedTuple):
    """Of an observable over its samples, or, of one that neurons have, over neurons, each by its
    mean over samples; last: at the last sample."""

    mean: float
    deviation: float
    lowest: float
    highest: float
    last: float | None = None


class Connections(NamedTuple):
    """Weights by their signs; unconnected: neurons that have none, in or out."""

    above: int
    below: int
    unconnected: int


def series(run: Run) -> dict[str, Spread]:
    """Of observables of one number a sample, by name."""
    names = [name for name in SERIES if name in run.observables and run.observed_at.size]
    found = {name: run.values(name, slice(0, run.observed_at.size)) for name in names}
    return {name: _spread(values, float(values[-1])) for name, values in found.items()}


def of_neurons(run: Run) -> dict[str, Spread]:
    """Of observables that each neuron has, by name."""
    samples = run.observed_at.size
    return {
        name: _spread(sum(rows.sum(axis=0) for rows in run.rows(name, slice(0, samples))) / samples)
        for name in OF_NEURONS
        if name in run.observables and samples
    }


def of_events(run: Run) -> tuple[Spread, float] | None:
    """Rates of neurons and the share in state 1, over the whole run; None without events."""
    if not run.transitions or run.end <= 0:
        return None
    fired = Fired(run, 0.0)
    course = Course(run, np.array([0.0, run.end]), np.arange(run.neurons))
    count(run, run.end, fired, course)
    return _spread(fired.counts / run.end), float(course.mean()[0])


def _spread(values: NDArray[Any], last: float | None = None) -> Spread:
    low, high = float(values.min()), float(values.max())
    return Spread(float(values.mean()), float(values.std()), low, high, last)


def connections(run: Run) -> Connections | None:
    """Of the network that the run's configuration names; None where it is too large to count.
    Raises InputError."""
    size = run.neurons
    if size * size > MOST_COUNTED:
        return None
    above = below = 0
    used = np.zeros(size, bool)
    height = max(1, BLOCK // size)
    for start in range(0, size, height):
        tile = run.weights.rows(start, min(start + height, size))
        above += int(np.count_nonzero(tile > 0))
        below += int(np.count_nonzero(tile < 0))
        there = tile != 0
        used |= there.any(axis=0)
        used[start : start + len(tile)] |= there.any(axis=1)
    return Connections(above, below, int(np.count_nonzero(~used)))


def populations(run: Run) -> list[tuple[str, int]]:
    """Each with its neurons, the largest first."""
    return Counter(run.population or ()).most_common()
