"""What a picture is drawn of: a run, from its file or in memory, and which part of it.

Times of pictures are model time (MPM) or sweeps of N steps (BM).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files import events as files
from distsim.files.events import BLOCK, Events, end

SORTS = ("none", "rate", "population")


class Weights(Protocol):
    """What a picture needs of a network: W row by row."""

    @property
    def neurons(self) -> int: ...

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        ...


class Block(NamedTuple):
    """Events in their order: time float64[k], neuron int64[k], state uint8[k], the new one."""

    time: NDArray[np.float64]
    neuron: NDArray[np.int64]
    state: NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """A run that may be drawn.

    name: what messages call it. end: when it ended, or how far it is, if it is partial. blocks:
    gives all events, from the first, each time that it is called. observables: by the names of
    their datasets, arrays or what is sliced like one. names, population: of each neuron, where
    there are any. network: opens it; None where it cannot be opened again. It may raise InputError.
    """

    name: str
    config: Mapping[str, Any]
    initial: NDArray[np.uint8]
    transitions: int
    end: float
    blocks: Callable[[], Iterator[Block]]
    observables: Mapping[str, Any] = field(default_factory=dict)
    names: Sequence[str] | None = None
    population: Sequence[str] | None = None
    network: Callable[[], Weights] | None = None
    partial: bool = False

    @property
    def neurons(self) -> int:
        return self.initial.size

    @property
    def bm(self) -> bool:
        """Whether it is of a Boltzmann machine."""
        return bool(self.config["model"] == "bm")

    @property
    def clock(self) -> str:
        """What its times are called."""
        return "sweeps" if self.bm else "model time"

    @cached_property
    def weights(self) -> Weights:
        """Its network. Raises InputError."""
        if self.network is None:
            raise InputError(
                f"{self.name}: the network was an array of a Python program; allowed: "
                "result.plot.weights(W)"
            )
        return self.network()

    @cached_property
    def observed_at(self) -> NDArray[np.float64]:
        """Times of the samples, float64[D]; none without observables."""
        return np.asarray(self.observables["time"][:] if "time" in self.observables else [])

    def samples(self, window: tuple[float, float]) -> slice:
        """Those in a window; the first has its whole interval there. Raises InputError for fewer
        than two."""
        times = self.observed_at
        every = float(self.config["every"] or 0)
        first = int(np.searchsorted(times, window[0] + every * (1 - 1e-9), side="left"))
        last = int(np.searchsorted(times, window[1], side="right"))
        if last - first < 2:
            raise InputError(
                f"{self.name}: {max(0, last - first)} samples from {window[0]:g} to "
                f"{window[1]:g} given; allowed: 2 or more, one every {every:g}"
            )
        return slice(first, last)

    def rows(self, name: str, part: slice) -> Iterator[NDArray[Any]]:
        """An observable's values at these samples, so many at a time that memory stays small."""
        values = self.observables[name]
        step = max(1, BLOCK // max(1, int(np.prod(values.shape[1:]))))
        for first in range(part.start, part.stop, step):
            yield np.asarray(values[first : min(first + step, part.stop)])

    def values(self, name: str, part: slice) -> NDArray[np.float64]:
        """An observable of one number a sample, float64[D]."""
        return np.asarray(self.observables[name][part])


@dataclass(frozen=True)
class Selection:
    """Which part of a run to draw: all, where nothing is given.

    start, stop: model time (mpm) or sweeps (bm). neurons: indices, in the order in which they are
    drawn if they are not sorted. sort: none, rate (the busiest on top) or population.
    """

    start: float | None = None
    stop: float | None = None
    neurons: Sequence[int] | None = None
    sort: str = "none"

    def window(self, run: Run) -> tuple[float, float]:
        """From when to when. Raises InputError."""
        start = 0.0 if self.start is None else self.start
        stop = run.end if self.stop is None else self.stop
        if not 0 <= start < stop <= run.end:
            raise InputError(
                f"{run.name}: from {start:g} to {stop:g} given; allowed: a later end than start, "
                f"between 0 and {run.end:g}, where the run ends"
            )
        return start, stop

    def chosen(self, run: Run) -> NDArray[np.int64]:
        """The neurons, int64[n], not yet sorted. Raises InputError."""
        if self.neurons is None:
            return np.arange(run.neurons)
        last = self.neurons[-1] if isinstance(self.neurons, range) and self.neurons else 0
        chosen = np.asarray([last] if last >= run.neurons else self.neurons)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not chosen.size:
            raise InputError(f"{run.name}: neurons: allowed: indices, from 0 to {run.neurons - 1}")
        outside = chosen[(chosen < 0) | (chosen >= run.neurons)]
        if outside.size:
            raise InputError(
                f"{run.name}: neuron {outside[0]} given; allowed: 0 to {run.neurons - 1}"
            )
        if np.unique(chosen).size < chosen.size:
            raise InputError(f"{run.name}: a neuron given twice; allowed: each once")
        return chosen.astype(np.int64)


def of_events(events: Events, name: str, network: Callable[[], Weights] | None = None) -> Run:
    """A run whose events are in memory. name: what messages call it; network: opens it."""

    def blocks() -> Iterator[Block]:
        for first in range(0, events.time.size, BLOCK):
            part = slice(first, first + BLOCK)
            yield Block(events.time[part], events.neuron[part], events.state[part])

    last = events.time[-1:]
    return _run(events, name, network, events.time.size, last, blocks, events.observables)


@contextlib.contextmanager
def opened(path: str, network: Callable[[Mapping[str, Any]], Weights]) -> Iterator[Run]:
    """The run of an output file, or of the partial one: as of a moment, and open meanwhile.

    network: opens the one that a configuration names. Raises InputError.
    """
    with files.opened(path) as file:
        yield of_file(file, network)


def of_file(file: files.Opened, network: Callable[[Mapping[str, Any]], Weights]) -> Run:
    """The run of a file that is open; network: as `opened` takes it."""

    def blocks() -> Iterator[Block]:
        for columns in file.blocks("time", "neuron", "state"):
            yield Block(*columns)

    return _run(
        file.head,
        file.path,
        lambda: network(file.head.config),
        file.transitions,
        file.last(),
        blocks,
        file.observables,
    )


def _run(
    head: Events,
    name: str,
    network: Callable[[], Weights] | None,
    transitions: int,
    last: NDArray[np.float64],
    blocks: Callable[[], Iterator[Block]],
    observables: Mapping[str, Any],
) -> Run:
    """last: the time of the last event, float64[1], or nothing; times in it and in blocks are those
    of events."""
    sweep = head.initial.size if head.config["model"] == "bm" else 1
    seen = observables["time"][:] if "time" in observables else np.empty(0)
    reached = np.concatenate([last, seen[-1:] * sweep])
    return Run(
        name,
        head.config,
        head.initial,
        transitions,
        end(head.config, head.initial.size, reached, partial=head.partial) / sweep,
        lambda: (block._replace(time=block.time / sweep) for block in blocks()),
        observables,
        head.names,
        head.population,
        network,
        head.partial,
    )
