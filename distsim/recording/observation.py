"""Observables: what a run is seen to do at equal intervals, while it runs.

| name | value at each t_d = d x every, d = 1 .. D | array |
|---|---|---|
| energy | E = -x'Wx/2 - b'x | float64[D] |
| cut | -E/2, where the network is a MaxCut | float64[D] |
| activity | share of neurons in state 1 | float64[D] |
| mean_activity | the same, averaged over the interval before | float64[D] |
| rates | transitions 0 -> 1 a unit of time (MPM) or a sweep (BM), each neuron | float64[D, N] |
| occupation | share of the interval in state 1, each neuron | float64[D, N] |
| samples | states, eight a byte (numpy.packbits) | uint8[D, ceil(N / 8)] |
| moments | sums of x_i x_j over the samples, for a choice of neurons | int64[n, n] |
| best | the lowest energy after any event, or at the start: energy, time, state | 1, 1, uint8[N] |

Times are model time (MPM) or sweeps (BM). All follow from the events in their order
(`kernels/observe.py`), which all ranks and devices have alike; energies are integers until the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.kernels import observe as kernels
from distsim.kernels.observe import Block, Rows, Tally

NAMES = ("energy", "activity", "rates", "occupation", "moments", "samples", "best")
_ROOM = 1 << 22  # bytes of rows that are made at a time


@dataclass(frozen=True)
class Plan:
    """What to observe. every, in model time or sweeps; sweep: steps of one (BM), 1 for an MPM.

    of: int64[n], the neurons of `moments`; unit: of weights; maxcut: the energy is a cut's, too.
    """

    names: frozenset[str]
    every: float
    sweep: int
    of: NDArray[np.int64]
    unit: float
    maxcut: bool

    @property
    def energies(self) -> bool:
        """Whether each event must tell by how much it changes the energy."""
        return bool(self.names & {"energy", "best"})


@dataclass(frozen=True)
class Start:
    """What holds before the first event: states uint8[N]; doubled: 2 E in weight units, but for
    the rests of the biases: int64[N], in 2^-40 weight units."""

    states: NDArray[np.uint8]
    doubled: int
    rests: NDArray[np.int64]


class Store(Protocol):
    """Where samples go: arrays by name, each of a row a sample."""

    def extend(self, rows: Mapping[str, NDArray[Any]]) -> None: ...


class Observation:
    """Takes events, gives samples to a store. One rank, the root, holds it."""

    def __init__(self, plan: Plan, start: Start, store: Store) -> None:
        self.plan = plan
        self._store = store
        neurons = start.states.size
        each = neurons if plan.names & {"rates", "occupation"} else 0
        bits = -(-neurons // 8) if "samples" in plan.names else 0
        x = start.states.copy()
        rests = -int(start.rests[x == 1].sum())
        self._tally = Tally(
            x=x,
            whole=np.array(
                [0, int(x.sum()), start.doubled, rests, start.doubled, rests, -1], np.int64
            ),
            real=np.zeros(3),
            rests=start.rests,
            fired=np.zeros(each, np.int64),
            since=np.zeros(each),
            spent=np.zeros(each),
        )
        of = plan.of if "moments" in plan.names else plan.of[:0]
        capacity = int(max(1, min(1 << 16, _ROOM // max(1, 16 * each + bits + 64))))
        self._rows = Rows(
            active=np.empty(capacity, np.int64),
            mean=np.empty(capacity),
            doubled=np.empty(capacity, np.int64),
            rests=np.empty(capacity, np.int64),
            fired=np.empty((capacity, each), np.int64),
            spent=np.empty((capacity, each)),
            bits=np.empty((capacity, bits), np.uint8),
            of=of,
            products=np.zeros((of.size, of.size), np.int64),
        )
        self._best = x.copy()

    @property
    def samples(self) -> int:
        """How many so far."""
        return int(self._tally.whole[kernels.SAMPLES])

    def take(self, block: Block, until: float = -1.0) -> None:
        """The next events; until: all up to this time (MPM) or step (BM) are known then, or -1."""
        whole = self._tally.whole
        before = self._tally.x.copy() if "best" in self.plan.names else None
        whole[kernels.BEST_EVENT] = -1
        k, made = 0, self._rows.active.size
        while made == self._rows.active.size:
            first = self.samples
            k, made = kernels.observe(
                block, k, until, self.plan.every * self.plan.sweep, self._tally, self._rows
            )
            if made:
                self._store.extend(self._samples(first, made))
        best = int(whole[kernels.BEST_EVENT])
        if before is not None and best >= 0:
            before[block.neuron[: best + 1]] = block.state[
                : best + 1
            ]  # the last of a neuron counts
            self._best = before

    def _samples(self, first: int, made: int) -> dict[str, NDArray[Any]]:
        """The rows that were made, as a user reads them."""
        plan, rows, neurons = self.plan, self._rows, self._tally.x.size
        found: dict[str, NDArray[Any]] = {
            "time": np.arange(first + 1, first + made + 1, dtype=np.float64) * plan.every
        }
        if "energy" in plan.names:
            energy = self._energy(rows.doubled[:made], rows.rests[:made])
            found["energy"] = energy
            if plan.maxcut:
                found["cut"] = -energy / 2
        if "activity" in plan.names:
            found["activity"] = rows.active[:made] / neurons
            found["mean_activity"] = rows.mean[:made] / neurons
        if "rates" in plan.names:
            found["rates"] = rows.fired[:made] / plan.every
        if "occupation" in plan.names:
            found["occupation"] = rows.spent[:made] / (plan.every * plan.sweep)
        if "samples" in plan.names:
            found["samples"] = rows.bits[:made].copy()
        return found

    def _energy(self, doubled: NDArray[np.int64], rests: NDArray[np.int64]) -> NDArray[np.float64]:
        """E of 2 E in weight units and its rest."""
        scaled = doubled.astype(np.float64) / 2 + rests * 2.0**-kernels.REST_BITS
        energy: NDArray[np.float64] = self.plan.unit * scaled
        return energy

    def totals(self) -> dict[str, Any]:
        """What is not a row a sample: moments and best, by the names of their datasets."""
        found: dict[str, Any] = {}
        whole = self._tally.whole
        if "moments" in self.plan.names:
            found["moments"] = self._rows.products.copy()
            found["moments_of"] = self._rows.of
            found["moments_count"] = self.samples
        if "best" in self.plan.names:
            lowest = whole[kernels.BEST_DOUBLED : kernels.BEST_DOUBLED + 1]
            rests = whole[kernels.BEST_RESTS : kernels.BEST_RESTS + 1]
            found["best/energy"] = float(self._energy(lowest, rests)[0])
            found["best/time"] = float(self._tally.real[kernels.BEST_TIME]) / self.plan.sweep
            found["best/state"] = self._best.copy()
        return found

    def state(self) -> dict[str, NDArray[Any]]:
        """What going on later takes, besides the states of the neurons: for a checkpoint."""
        tally = self._tally
        return {
            "whole": tally.whole.copy(),
            "real": tally.real.copy(),
            "fired": tally.fired.copy(),
            "since": tally.since.copy(),
            "spent": tally.spent.copy(),
            "products": self._rows.products.copy(),
            "best": np.packbits(self._best) if "best" in self.plan.names else np.empty(0, np.uint8),
        }

    def go_on(self, states: NDArray[np.uint8], state: Mapping[str, NDArray[Any]]) -> None:
        """Stand where an earlier observation stood: states of all neurons, and its `state`."""
        self._tally.x[:] = states
        for name in ("whole", "real", "fired", "since", "spent"):
            getattr(self._tally, name)[:] = state[name]
        self._rows.products[:] = state["products"]
        if "best" in self.plan.names:
            self._best = np.unpackbits(state["best"], count=states.size)


class Kept:
    """A store in memory."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}

    def extend(self, rows: Mapping[str, NDArray[Any]]) -> None:
        for name, part in rows.items():
            self._parts.setdefault(name, []).append(part)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array, whole."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}


def datasets(plan: Plan, neurons: int) -> dict[str, tuple[Sequence[int], str]]:
    """The arrays of a row a sample: name -> (shape of a row, dtype)."""
    found: dict[str, tuple[Sequence[int], str]] = {"time": ((), "float64")}
    if "energy" in plan.names:
        found["energy"] = ((), "float64")
        if plan.maxcut:
            found["cut"] = ((), "float64")
    if "activity" in plan.names:
        found["activity"] = found["mean_activity"] = ((), "float64")
    for name in ("rates", "occupation"):
        if name in plan.names:
            found[name] = ((neurons,), "float64")
    if "samples" in plan.names:
        found["samples"] = ((-(-neurons // 8),), "uint8")
    return found
