"""What pictures count over the events of a run, block by block: no more memory than the picture.

Intervals are those of observables: an event at an edge belongs to the interval before it, at the
first edge to the first. The share of neurons in state 1,

    m(t) = sum_i x_i(t) / n,

follows from the initial states and the events alone and is averaged exactly, as the differences of
its integral, which is linear between events.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.pictures.run import Block, Run

DOTS = 20_000  # a raster of more is drawn as counts


class Counter(Protocol):
    """Takes the events of a run in their order."""

    def take(self, block: Block) -> None: ...


def count(run: Run, stop: float, *counters: Counter) -> None:
    """Give the events up to `stop` to all counters, in one pass."""
    for block in run.blocks():
        late = int(np.searchsorted(block.time, stop, side="right"))
        time, neuron, state = block
        for counter in counters:
            counter.take(Block(time[:late], neuron[:late], state[:late]))
        if late < time.size:
            break


def _cuts(time: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where the events of each interval begin, and the last end, int64[len(edges)]."""
    cuts = np.searchsorted(time, edges, side="right")
    cuts[0] = np.searchsorted(time, edges[0], side="left")
    return cuts


class Fired:
    """Transitions 0 -> 1 of each neuron from a time on: `counts`, int64[N]."""

    def __init__(self, run: Run, start: float) -> None:
        self.counts = np.zeros(run.neurons, np.int64)
        self._start = start

    def take(self, block: Block) -> None:
        first = int(np.searchsorted(block.time, self._start, side="left"))
        fired = block.neuron[first:][block.state[first:] == 1]
        self.counts += np.bincount(fired, minlength=self.counts.size)


class Course:
    """Of some neurons, over intervals between `edges`: transitions 0 -> 1, `counts` int64[B], and,
    by `mean`, the share in state 1."""

    def __init__(self, run: Run, edges: NDArray[np.float64], chosen: NDArray[np.int64]) -> None:
        self.counts = np.zeros(edges.size - 1, np.int64)
        self._edges = edges
        self._size = chosen.size
        self._mine = None
        if chosen.size < run.neurons:
            self._mine = np.zeros(run.neurons, bool)
            self._mine[chosen] = True
        self._ones = int(run.initial[chosen].sum(dtype=np.int64))
        self._last = 0.0  # up to where the integral is known
        self._integral = 0.0
        self._reached = np.zeros(edges.size)  # the integral at each edge
        self._passed = 0  # edges whose integral is known

    def take(self, block: Block) -> None:
        time, state = block.time, block.state
        if self._mine is not None:
            mine = self._mine[block.neuron]
            time, state = time[mine], state[mine]
        if not time.size:
            return
        ups = np.concatenate([[0], np.cumsum(state, dtype=np.int64)])
        self.counts += np.diff(ups[_cuts(time, self._edges)])
        ones = self._ones + 2 * ups - np.arange(ups.size)
        times = np.concatenate([[self._last], time])
        steps = ones[:-1] * np.diff(times)
        integral = self._integral + np.concatenate([[0.0], np.cumsum(steps)])
        passed = int(np.searchsorted(self._edges, time[-1], side="right"))
        part = slice(self._passed, passed)
        self._reached[part] = np.interp(self._edges[part], times, integral)
        self._passed = passed
        self._ones, self._last, self._integral = int(ones[-1]), float(time[-1]), integral[-1]

    def mean(self) -> NDArray[np.float64]:
        """Mean of m(t) over each interval, float64[B], when all events have been taken."""
        rest = self._edges[self._passed :] - self._last
        reached = self._reached.copy()
        reached[self._passed :] = self._integral + self._ones * rest
        means: NDArray[np.float64] = np.diff(reached) / np.diff(self._edges) / self._size
        return means


class Grid:
    """Transitions 0 -> 1 in cells of rows and intervals: `counts`, int64[groups, rows, B].

    row, group: of each neuron, int64[N]; row -1: it is not drawn. While they are few, also one by
    one: `time` and `neuron`, else None.
    """

    def __init__(
        self,
        edges: NDArray[np.float64],
        row: NDArray[np.int64],
        rows: int,
        group: NDArray[np.int64],
        groups: int,
    ) -> None:
        self.counts = np.zeros((groups, rows, edges.size - 1), np.int64)
        self._edges = edges
        self._first = np.where(row < 0, -1, (group * rows + row) * (edges.size - 1))
        self._total = 0
        self._dots: list[tuple[NDArray[np.float64], NDArray[np.int64]]] | None = []

    def take(self, block: Block) -> None:
        cuts = _cuts(block.time, self._edges)
        part = slice(cuts[0], cuts[-1])
        first = self._first[block.neuron[part]]
        drawn = (block.state[part] == 1) & (first >= 0)
        interval = np.repeat(np.arange(cuts.size - 1), np.diff(cuts))
        cells = (first + interval)[drawn]
        flat = self.counts.reshape(-1)
        flat += np.bincount(cells, minlength=flat.size)
        self._total += cells.size
        if self._total > DOTS:
            self._dots = None
        elif self._dots is not None:
            self._dots.append((block.time[part][drawn], block.neuron[part][drawn]))

    @property
    def total(self) -> int:
        """All that are drawn."""
        return self._total

    @property
    def dots(self) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """Their times and neurons, if they are few."""
        if self._dots is None:
            return None
        empty = (np.empty(0), np.empty(0, np.int64))
        time, neuron = zip(empty, *self._dots, strict=True)
        return np.concatenate(time), np.concatenate(neuron)
