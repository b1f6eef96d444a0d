"""Observables: what a run is seen to do at equal intervals, while it runs.

| name | value at each t_d = d x every, d = 1 .. D | array |
|---|---|---|
| energy | E = -x'Wx/2 - b'x | float64[D] |
| cut | -E/2, with energy, where the network is a MaxCut | float64[D] |
| activity | share of neurons in state 1 | float64[D] |
| mean_activity | the same, averaged over the interval before; with activity | float64[D] |
| rates | transitions 0 -> 1 a unit of time (MPM) or a sweep (BM), each neuron | float64[D, N] |
| occupation | share of the interval in state 1, each neuron | float64[D, N] |
| samples | states, eight a byte (numpy.packbits) | uint8[D, ceil(N / 8)] |
| moments | sums of x_i x_j over the samples, for a choice of neurons | int64[n, n] |
| best | the lowest energy after any event, or at the start: energy, time, state | 1, 1, uint8[N] |

Times are model time (MPM) or sweeps (BM). All follow from the events in their order
(`kernels/observe.py`), which all ranks and devices have alike; energies are integers until the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.kernels import observe as kernels
from distsim.kernels.observe import Block, Rows, Tally
from distsim.recording import digest
from distsim.recording.scalars import Scalars
from distsim.recording.sinks import Sink

MOST_SAMPLES = 1 << 40  # of a run; and of those that events of one block leave behind them:
_MOST_AT_ONCE = 1 << 28
_ROOM = 1 << 22  # bytes of rows that are made at a time


@dataclass(frozen=True)
class Plan:
    """What to observe. every, in model time or sweeps; sweep: steps of one (BM), 1 for an MPM.

    of: int64[n], the neurons of `moments`; unit: of weights; maxcut: the energy is a cut's, too.
    """

    names: frozenset[str]
    neurons: int
    every: float
    sweep: int
    of: NDArray[np.int64]
    unit: float
    maxcut: bool

    @property
    def datasets(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """The arrays of a row a sample: name -> (shape of a row, dtype)."""
        real, each, bits = ((), "float64"), ((self.neurons,), "float64"), (-(-self.neurons // 8),)
        found: dict[str, tuple[tuple[int, ...], str]] = {"time": real}
        if "energy" in self.names:
            found["energy"] = real
            if self.maxcut:
                found["cut"] = real
        if "activity" in self.names:
            found["activity"] = found["mean_activity"] = real
        found |= {name: each for name in ("rates", "occupation") if name in self.names}
        if "samples" in self.names:
            found["samples"] = (bits, "uint8")
        return found

    @property
    def bytes_a_sample(self) -> int:
        """Of all datasets."""
        parts = self.datasets.values()
        return sum(np.dtype(kind).itemsize * int(np.prod(shape)) for shape, kind in parts)


@dataclass(frozen=True)
class Start:
    """What holds before the first event: states uint8[N]; doubled: 2 E in weight units, but for
    the rests of the biases: int64[N], in 2^-40 weight units."""

    states: NDArray[np.uint8]
    doubled: int
    rests: NDArray[np.int64]


class Observation:
    """Takes events, gives samples to a store. One rank, the root, holds it."""

    def __init__(self, plan: Plan, start: Start) -> None:
        self.plan = plan
        self.store: Sink | None = None
        self.error: str | None = None  # why it takes no more
        self.taken = 0  # events
        self.total = 0  # of the digest of all rows
        each = plan.neurons if plan.names & {"rates", "occupation"} else 0
        bits = -(-plan.neurons // 8) if "samples" in plan.names else 0
        self._tally = Tally(
            x=start.states.copy(),
            whole=np.zeros(kernels.WHOLES, np.int64),
            real=np.zeros(kernels.REALS),
            rests=start.rests,
            fired=np.zeros(each, np.int64),
            since=np.zeros(each),
            spent=np.zeros(each),
        )
        whole = self._tally.whole
        whole[kernels.ACTIVE] = start.states.sum(dtype=np.int64)
        whole[kernels.DOUBLED] = whole[kernels.BEST_DOUBLED] = start.doubled
        rests = -start.rests[start.states == 1].sum()
        whole[kernels.RESTS] = whole[kernels.BEST_RESTS] = rests
        of = plan.of if "moments" in plan.names else plan.of[:0]
        capacity = int(max(1, min(1 << 16, _ROOM // max(1, 16 * each + bits + 64))))
        self._rows = Rows(
            active=np.empty(capacity, np.int64),
            ups=np.empty(capacity, np.int64),
            mean=np.empty(capacity),
            doubled=np.empty(capacity, np.int64),
            rests=np.empty(capacity, np.int64),
            fired=np.empty((capacity, each), np.int64),
            spent=np.empty((capacity, each)),
            bits=np.empty((capacity, bits), np.uint8),
            of=of,
            products=np.zeros((of.size, of.size), np.int64),
        )
        self._best = start.states.copy()

    @property
    def samples(self) -> int:
        """How many so far."""
        return int(self._tally.whole[kernels.SAMPLES])

    def take(self, block: Block, before: int) -> None:
        """The next events of the run; `before`: how many it had before them. Those that were taken
        already, by a run that ended inside a window and goes on from its start, are passed over."""
        seen = max(0, self.taken - before)
        if seen < block.time.size:
            step = self.plan.every * self.plan.sweep
            if block.time[-1] / step - self.samples > _MOST_AT_ONCE:
                self.error = (
                    f"observe: more than {_MOST_AT_ONCE:,} samples between events by every "
                    f"{self.plan.every:g}; allowed: fewer, by a larger every"
                )
            if self.error is not None:
                return
            self._take(Block._make(column[seen:] for column in block), -1.0)
            self.taken = before + block.time.size

    def end(self, until: float) -> None:
        """No event is to come up to this time (MPM) or step (BM)."""
        nothing = np.empty(0, np.int64)
        self._take(Block(np.empty(0), nothing, np.empty(0, np.uint8), nothing), until)

    def _take(self, block: Block, until: float) -> None:
        plan, whole = self.plan, self._tally.whole
        best_state = self._tally.x.copy() if "best" in plan.names else None
        whole[kernels.BEST_EVENT] = -1
        every = plan.every * plan.sweep
        k, made = 0, self._rows.active.size
        while made == self._rows.active.size:
            first = self.samples
            k, made = kernels.observe(block, k, until, every, self._tally, self._rows)
            if made:
                self._deliver(first, made)
        best = int(whole[kernels.BEST_EVENT]) + 1
        if best_state is not None and best:
            best_state[block.neuron[:best]] = block.state[:best]  # the last of a neuron counts
            self._best = best_state

    def _deliver(self, first: int, made: int) -> None:
        """Give the rows that were made to the store, as a user reads them."""
        plan, rows = self.plan, self._rows
        found: dict[str, NDArray[Any]] = {
            "time": np.arange(first + 1, first + made + 1, dtype=np.float64) * plan.every
        }
        if "energy" in plan.names:
            halves = rows.doubled[:made].astype(np.float64) / 2
            found["energy"] = plan.unit * (halves + rows.rests[:made] * 2.0**-kernels.REST_BITS)
            if plan.maxcut:
                found["cut"] = -found["energy"] / 2
        if "activity" in plan.names:
            found["activity"] = rows.active[:made] / plan.neurons
            found["mean_activity"] = rows.mean[:made] / plan.neurons
        if "rates" in plan.names:
            found["rates"] = rows.fired[:made] / plan.every
        if "occupation" in plan.names:
            found["occupation"] = rows.spent[:made] / (plan.every * plan.sweep)
        if "samples" in plan.names:
            found["samples"] = rows.bits[:made].copy()
        for name, values in found.items():
            self.total += digest.of_values(name, values, first * (values.size // made))
        if self.store is not None:
            self.store.extend(found)

    def totals(self) -> dict[str, NDArray[Any]]:
        """What is not a row a sample: moments and best, by the names of their datasets."""
        found: dict[str, NDArray[Any]] = {}
        whole = self._tally.whole
        if "moments" in self.plan.names:
            found["moments"] = self._rows.products.copy()
            found["moments_of"] = self._rows.of
            found["moments_count"] = np.array(self.samples)
        if "best" in self.plan.names:
            lowest = self._energy(int(whole[kernels.BEST_DOUBLED]), int(whole[kernels.BEST_RESTS]))
            found["best/energy"] = np.array(lowest)
            found["best/time"] = np.array(self._tally.real[kernels.BEST_TIME] / self.plan.sweep)
            found["best/state"] = self._best.copy()
            if self.plan.maxcut:
                found["best/cut"] = np.array(-lowest / 2)
        return found

    def digest(self) -> str:
        """Of all values of all datasets: the same on any ranks, device, engine."""
        parts = (digest.of_values(name, values) for name, values in self.totals().items())
        return digest.text(self.total + sum(parts))

    def scalars(self) -> Scalars:
        """Observables of the run up to its last sample."""
        plan, whole, real = self.plan, self._tally.whole, self._tally.real
        energy = best = activity = rate = None
        if "best" in plan.names:
            best = self._energy(int(whole[kernels.BEST_DOUBLED]), int(whole[kernels.BEST_RESTS]))
        if self.samples:
            if "energy" in plan.names:
                words = [int(word) for word in whole[kernels.SUMS :]]
                doubled, rests = (
                    (words[k] << kernels.HALF) + words[k + 1] for k in range(0, len(words), 2)
                )
                energy = self._energy(doubled, rests, self.samples)
            activity = float(real[kernels.ALL_MEANS]) / (self.samples * plan.neurons)
            fired = int(whole[kernels.ALL_FIRED])
            rate = fired / (plan.neurons * self.samples * plan.every)
        cut = -energy / 2 if plan.maxcut and energy is not None else None
        best_cut = -best / 2 if plan.maxcut and best is not None else None
        return Scalars(energy, best, cut, best_cut, activity, rate)

    def _energy(self, doubled: int, rests: int, count: int = 1) -> float:
        """E of 2 E in weight units and its rest, or the mean of `count` whose sums these are."""
        scaled = ((doubled << kernels.REST_BITS - 1) + rests) / (count << kernels.REST_BITS)
        return self.plan.unit * scaled

    def state(self) -> dict[str, NDArray[Any]]:
        """What going on later takes: for a checkpoint."""
        tally = self._tally
        counts = [self.taken, self.total % 2**64]
        return {
            "counts": np.array(counts, np.uint64),
            "x": np.packbits(tally.x),
            "whole": tally.whole.copy(),
            "real": tally.real.copy(),
            "fired": tally.fired.copy(),
            "since": tally.since.copy(),
            "spent": tally.spent.copy(),
            "products": self._rows.products.copy(),
            "best": np.packbits(self._best),
        }

    def go_on(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Stand where an earlier observation stood, by its `state`."""
        self.taken, self.total = (int(count) for count in state["counts"])
        for name in ("whole", "real", "fired", "since", "spent"):
            getattr(self._tally, name)[:] = state[name]
        self._rows.products[:] = state["products"]
        self._tally.x[:] = np.unpackbits(state["x"], count=self.plan.neurons)
        self._best = np.unpackbits(state["best"], count=self.plan.neurons)
