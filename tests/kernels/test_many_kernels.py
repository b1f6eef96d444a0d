"""The kernels of many chains, block by block on a CPU, against plain arithmetic in NumPy.

tests/gpu/test_many_chains.py compares them on GPUs with chains of the CPU.
"""

from typing import Any

import emulated_cuda
import numpy as np
import plain
import pytest
from host_code import needs_compiler
from numpy.typing import NDArray

from distsim.kernels.philox import replica_bits
from distsim.kernels.updates import sweep_logit
from distsim.recording import digest

pytestmark = needs_compiler

SEED, SWEEP = 2**40 + 5, 2**33 + 1


class Plain:
    """Some chains, one after the other, one neuron at a time."""

    def __init__(
        self, weights: Any, bias: Any, rest: Any, replicas: Any, x: Any, held: Any
    ) -> None:
        self.weights, self.rest, self.replicas, self.held = weights, rest, replicas, held
        self.x = x.astype(np.int64)
        self.z = self.x @ weights + bias
        self.events: list[list[tuple[float, int, int]]] = [[] for _ in replicas]
        self.doubled = np.zeros(len(replicas), np.int64)

    def sweep(self, number: int, scales: NDArray[np.float64]) -> None:
        neurons = len(self.weights)
        for r, replica in enumerate(self.replicas.tolist()):
            x, z = self.x[r], self.z[r]
            for i in np.flatnonzero(~self.held[r]).tolist():
                up, pull = 0, float(z[i]) + self.rest[i]
                new = int(pull > 0) if pull else int(x[i])
                if scales[r] > 0:
                    logit = sweep_logit(np.uint64(SEED), replica_bits(replica), number, i)
                    up = plain.threshold(scales[r] * logit - self.rest[i])
                    new = int(z[i] >= up)
                if new != x[i]:
                    change = new - int(x[i])
                    self.doubled[r] -= 2 * change * z[i]
                    self.events[r].append((float(number * neurons + i + 1), i, new))
                    x[i] = new
                    z += change * self.weights[i]

    def totals(self) -> list[int]:
        found = []
        for chain in self.events:
            time, neuron, state = (np.array(column) for column in zip(*chain, strict=True))
            found.append(digest.of_events(time, neuron, state.astype(np.uint8)))
        return found


def _weights(bits: int, *layers: int) -> NDArray[Any]:
    neurons, most = sum(layers), 2 ** (bits - 1) - 1
    random = np.random.default_rng(neurons)
    weights = np.clip(np.rint(random.normal(0, most / 3, (neurons, neurons))), -most, most)
    start = 0
    for size in layers:
        weights[start : start + size, start : start + size] = 0
        start += size
    weights = np.triu(weights, 1)
    found: NDArray[Any] = (weights + weights.T).astype(f"int{bits}")
    return found


@pytest.mark.parametrize(
    ("way", "layers", "chains", "bits", "clamps"),
    [
        ("resident", (1,) * 66, 10, 8, 30),  # four threads a chain
        ("resident", (1,) * 30, 70, 16, 0),  # one
        ("layers", (43, 70), 10, 16, 30),
        ("blocks", (1,) * 150, 10, 8, 0),
    ],
)
def test_chains_are_those_of_plain_arithmetic(
    way: str, layers: tuple[int, ...], chains: int, bits: int, clamps: int
) -> None:
    random = np.random.default_rng(3)
    neurons = sum(layers)
    weights = _weights(bits, *layers)
    bias = np.rint(random.normal(0, 2.0 ** (bits - 2), neurons)).astype(np.int64)
    rest = np.where(random.random(neurons) < 0.5, 0.0, random.uniform(-1.0, 1.0, neurons))
    replicas = 65535 - 7 * np.arange(chains)
    states = (random.random((chains, neurons)) < 0.5).astype(np.uint8)
    held = random.random((chains, neurons)) < clamps / 100
    unit = 2.0 ** (bits - 3) * np.sqrt(neurons)
    scales = unit * np.array([1.0, 0.3, 0.0])[:, None] * np.linspace(1.0, 2.0, chains)
    wanted = Plain(weights.astype(np.int64), bias, rest, replicas, states, held)
    with emulated_cuda.install():
        from distsim.gpu import blocks
        from distsim.gpu.layers import Layers
        from distsim.gpu.resident import Resident

        blocks._TOGETHER = 64  # neurons of a block, of which few chains have twice as many
        kind: Any = {"resident": Resident, "layers": Layers, "blocks": blocks.Blocks}[way]
        found = kind(
            weights, bias, rest, SEED, replicas, states, held if clamps else None, energies=True
        )
        energies = []
        for first, part in ((0, scales[:1]), (1, scales[1:])):
            found.advance(SWEEP + first, part)
            energies += list(found.energies())
    for s in range(3):
        wanted.sweep(SWEEP + s, scales[s])
        assert np.array_equal(energies[s], wanted.doubled)
    assert np.array_equal(found.states(), wanted.x)
    assert found.transitions().tolist() == [len(chain) for chain in wanted.events]
    assert found.last().tolist() == [chain[-1][0] for chain in wanted.events]
    assert found.totals().tolist() == wanted.totals()
    assert np.array_equal(found.doubled(), wanted.doubled)
