"""What a scientist writes who knows NumPy: the yardstick of a benchmark on the CPU.

float32, one event or update at a time, a column of W contiguous in memory. Each loop runs for so
many seconds on one core, leaves the states where they came to, and tells its rate. What is written
with CuPy and NCCL is `bench_gpu.mpm_loop`. On sparse weights it is what one writes who knows C
(`kernels.plain`): thinning for the MPM.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.kernels import plain
from distsim.ranks.communicator import Serial
from distsim.weights.shard import load
from distsim.weights.source import Network
from distsim.weights.sparse import SparseColumns

Loop: TypeAlias = Callable[
    [NDArray[np.float32], NDArray[np.float32], float, float, np.random.Generator], float
]
_TILE = 64  # rows of W that are turned into columns at a time


def rate(network: Network, loop: Loop, tau: float, seconds: float, warm_up: float) -> float:
    """What a loop makes a second of a network from random states, after so many seconds of it."""
    n = network.neurons
    columns = np.empty((n, n), np.float32)
    for i in range(0, n, _TILE):
        columns[:, i : i + _TILE] = network.rows(i, min(i + _TILE, n)).T
    generator = np.random.default_rng(0)
    x = (generator.random(n) < 0.5).astype(np.float32)
    loop(columns, x, tau, warm_up, generator)
    return loop(columns, x, tau, seconds, generator)


def mpm_loop(
    columns: NDArray[np.float32],
    x: NDArray[np.float32],
    tau: float,
    seconds: float,
    generator: np.random.Generator,
) -> float:
    """Transitions a second of the direct method (Gillespie 1977); columns[j] = W[:, j]."""
    z = x @ columns
    sign = 1 - 2 * x
    rates = np.empty_like(z)
    sums = np.empty_like(z)
    scale = np.float32(1 / (2 * tau))
    model_time, transitions, begin = 0.0, 0, time.perf_counter()
    while transitions % 256 or time.perf_counter() - begin < seconds:
        np.multiply(sign, z, out=rates)
        rates *= scale
        np.exp(rates, out=rates)
        np.cumsum(rates, out=sums)
        total = sums[-1]
        model_time += generator.standard_exponential() / total
        i = min(int(sums.searchsorted(generator.random() * total)), len(x) - 1)
        if sign[i] > 0:
            z += columns[i]
        else:
            z -= columns[i]
        sign[i] = -sign[i]
        transitions += 1
    x[:] = (1 - sign) / 2
    return transitions / (time.perf_counter() - begin)


def bm_loop(
    columns: NDArray[np.float32],
    x: NDArray[np.float32],
    tau: float,
    seconds: float,
    generator: np.random.Generator,
) -> float:
    """Neuron updates a second of a sequential Gibbs scan; columns[j] = W[:, j]."""
    z = x @ columns
    state = [value > 0 for value in x]
    updates, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        uniforms = generator.random(len(x)).tolist()
        for i, u in enumerate(uniforms):
            new = u * (1 + math.exp(-z[i] / tau)) < 1
            if new != state[i]:
                state[i] = new
                if new:
                    z += columns[i]
                else:
                    z -= columns[i]
        updates += len(x)
    x[:] = state
    return updates / (time.perf_counter() - begin)


def check(sizes: Sequence[int], synapses: int, *, gpu: bool) -> None:
    """Raise InputError for a number of synapses of which there is no loop."""
    if gpu:
        raise InputError(f"--synapses: {synapses} given on a GPU; allowed: with --device cpu")
    if synapses > min(sizes):
        raise InputError(
            f"--synapses: {synapses} given for {min(sizes)} neurons; allowed: up to {min(sizes)}"
        )


def sparse_rate(network: Network, model: str, tau: float, seconds: float, warm_up: float) -> float:
    """As `rate`, of sparse weights."""
    shard = load(
        network, 32, Serial(), SparseColumns, SparseColumns.store_sparse, SparseColumns.make
    )
    columns = shard.storage.columns
    weight = columns.weight.astype(np.float32) * np.float32(shard.unit)
    generator = np.random.default_rng(0)
    x = (generator.random(network.neurons) < 0.5).astype(np.uint8)
    z = (shard.responses(x) * shard.unit).astype(np.float32)
    state = generator.integers(1, 2**64, 4, np.uint64)
    loop = _Plain(columns, weight, z, 1 - 2 * x.astype(np.float32), state)
    loop.rate(model, tau, warm_up)
    return loop.rate(model, tau, seconds)


@dataclass(frozen=True)
class _Plain:
    """columns: `kernels.sparse.Columns`; weight: float32[...]; z: float32[N]; s: float32[N],
    1 - 2 x; state: uint64[4], of the generator."""

    columns: Any
    weight: NDArray[np.float32]
    z: NDArray[np.float32]
    s: NDArray[np.float32]
    state: NDArray[np.uint64]

    def rate(self, model: str, tau: float, seconds: float) -> float:
        """Transitions or updates a second, of a run of so many seconds."""
        need = (self.columns, self.weight, self.z, self.s)
        part = max(self.s.size // 4, 1) if model == "mpm" else self.s.size
        done, begin = 0, time.perf_counter()
        while not done or time.perf_counter() - begin < seconds:
            if model == "mpm":
                plain.thin(*need, 1 / (2 * tau), part, self.state)
            else:
                plain.scan(*need, 1 / tau, self.state)
            done += part
        return done / (time.perf_counter() - begin)


LOOPS: dict[str, Loop] = {"mpm": mpm_loop, "bm": bm_loop}
