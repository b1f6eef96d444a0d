"""Chains of a BM side by side on a rank's GPU, by whole sweeps of all: `abreast.Abreast`.

What is left of a chain then is made on the CPU, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from distsim.chains.abreast import Heats, Pace, Standing, counts_of, held_in
from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.engines.timer import Timer
from distsim.errors import InputError
from distsim.gpu.blocks import Blocks
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import free_unused
from distsim.gpu.layers import Layers
from distsim.gpu.many import REACH, ManyChains
from distsim.gpu.resident import Resident
from distsim.gpu.variants import algorithm
from distsim.kernels.layers import bounds_of
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.laws.course import Course
from distsim.weights.shard import Shard

_LAYERED = 1 << 14  # neurons of networks in which layers are looked for


class SweptChains:
    """Chains of a BM with the sequential scan, at the end of a sweep."""

    place = "gpu"

    def __init__(
        self,
        shard: Shard[DeviceColumns],
        config: Config,
        replicas: NDArray[np.int64],
        starts: Sequence[tuple[NDArray[np.uint8], Conditions]],
        positions: Sequence[Position],
    ) -> None:
        self.shard, self.timer = shard, Timer()
        states, conditions = zip(*starts, strict=True)
        self._heats = Heats(conditions, shard)
        self._pace = Pace()
        self._sweep = 0  # so many are done
        self._states: NDArray[np.uint8] | None = None
        self._many, self.engine = _sweeper(
            shard, config.seed, replicas, np.stack(states), held_in(conditions, shard.neurons)
        )
        course = Course(conditions[0], shard, 1.0, config.window)
        self._exponent = course.target.bit_length() - 1
        if positions:
            self._sweep = positions[0].clock.number // shard.neurons
            self._many.go_on(*counts_of(positions))
        self._look()

    def _look(self) -> None:
        """What the GPU has made."""
        many, self._states = self._many, None
        self._made = many.transitions().astype(np.int64)
        self._total, self._last = many.totals(), many.last()

    def advance(self, limit: int | None, until: float | None) -> bool:
        """Whole sweeps of all chains."""
        begin, neurons = perf_counter(), self.shard.neurons
        if until is not None:
            left = int(until) // neurons - self._sweep
        else:
            left = int((limit or 0) - self._made.max()) // neurons
        sweeps = min(self._pace.count, left)
        if sweeps == 0:
            return False
        self.timer.start()
        heats = self._heats.of(self._sweep, sweeps)
        common = bool((heats == heats[:, :1]).all())
        self._many.advance(self._sweep, heats[:, 0] if common else heats)
        self._sweep += sweeps
        self._look()
        self.timer.stamp("sweeps")
        self._pace.took(perf_counter() - begin, sweeps)
        return True

    def transitions(self) -> NDArray[np.int64]:
        return self._made

    def times(self) -> NDArray[np.float64]:
        return np.full(self._made.size, float(self._sweep * self.shard.neurons))

    def standing(self, r: int) -> Standing:
        step = self._sweep * self.shard.neurons
        clock = Clock(step, float(step), 0.0, self._exponent)
        made = int(self._made[r]), float(self._last[r]), int(self._total[r])
        return Standing(clock, self._sweep, *made)

    def states(self, r: int) -> NDArray[np.uint8]:
        if self._states is None:
            self._states = self._many.states()
        return self._states[r]  # type: ignore[no-any-return]

    def block(self, r: int) -> None:
        """Events stay on the GPU."""

    def consistent(self, r: int, final: NDArray[np.uint8]) -> bool:
        """z is made of the states anew for each block of neurons: nothing can drift."""
        return True

    def close(self) -> None:
        self.states(0)  # of all, to be had later too
        self._many.release()
        self.shard.storage.release()
        free_unused()


def _sweeper(
    shard: Shard[DeviceColumns],
    seed: int,
    replicas: NDArray[np.int64],
    states: NDArray[np.uint8],
    clamped: NDArray[np.bool_] | None,
) -> tuple[ManyChains, str]:
    """What sweeps chains of this network best, and its name. Raises InputError."""
    neurons = shard.neurons
    if shard.reach >= REACH:
        raise InputError(
            f"device gpu: responses of up to {shard.reach:.3g} units given for several chains; "
            f"allowed: below {REACH:.3g}, by weights of fewer bits"
        )
    weights = shard.storage.array()[:, :neurons]  # W is symmetric
    given = (shard.bias, shard.rest, seed, replicas, states, clamped)
    there = weights.get() if neurons <= _LAYERED else None
    bounds = np.arange(neurons + 1) if there is None else bounds_of(there)
    name = algorithm(neurons, bounds)
    if there is not None and name == "layers":
        return Layers(there, *given), name
    kind = Resident if name == "resident" else Blocks
    return kind(weights, *given), name
