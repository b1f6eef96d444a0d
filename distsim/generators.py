"""Built-in networks: the nematode C. elegans, Gaussian weights, Hopfield's memory.

All hold the contract of `distsim.network.Network`.
"""

from __future__ import annotations

import csv
import math
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distsim.weights import Dense

if TYPE_CHECKING:
    from distsim.network import Offence

GABA = frozenset(
    [f"DD{k}" for k in range(1, 7)]
    + [f"VD{k}" for k in range(1, 14)]
    + ["RMED", "RMEV", "RMEL", "RMER", "AVL", "DVB", "RIS"]
)


def celegans(symmetric: bool) -> Dense:
    """The 281 neurons of the somatic nervous system of C. elegans, in alphabetical order.

    W[target, source] = synapses + gap junctions, where the chemical synapses of the 26 GABA neurons
    count as negative: they inhibit; all others, and gap junctions, excite. `symmetric`: (W + W')/2
    without its diagonal.
    Varshney, Chen, Paniagua, Hall, Chklovskii, PLoS Comput. Biol. 7 (2011) e1001066.
    """
    with resources.files("distsim").joinpath("data/celegans.csv").open(encoding="utf-8") as file:
        connections = list(csv.DictReader(file))
    names = tuple(sorted({c[end] for c in connections for end in ("source", "target")}))
    index = {name: i for i, name in enumerate(names)}
    weights = np.zeros((len(names), len(names)))
    for c in connections:
        inhibits = c["kind"] == "chemical" and c["source"] in GABA
        sign = -1 if inhibits else 1
        weights[index[c["target"]], index[c["source"]]] += sign * int(c["synapses"])
    if symmetric:
        weights = (weights + weights.T) / 2
        np.fill_diagonal(weights, 0.0)
    return Dense("celegans", weights, names=names)


class Gaussian:
    """Weights normal(0, coupling / sqrt(N)): W[i, j] a function of (seed, i, j) alone.

    `symmetric`: W[i, j] = W[j, i], the function of (seed, min, max), without diagonal. No weight is
    stored. This is the random network of Sompolinsky, Crisanti, Sommers, Phys. Rev. Lett. 61
    (1988) 259, and, symmetric, the spin glass of Sherrington, Kirkpatrick, ibid. 35 (1975) 1792.
    """

    def __init__(self, neurons: int, coupling: float, seed: int, symmetric: bool) -> None:
        self.name = "gaussian"
        self.names: tuple[str, ...] | None = None
        self.neurons = neurons
        self.bias = np.zeros(neurons)
        self.seed = np.uint64(seed)
        self.scale = coupling / math.sqrt(neurons)
        self.symmetric = symmetric

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        from distsim.kernels import cpu

        rows: NDArray[np.float64] = cpu.gaussian_rows(
            self.seed, start, stop, self.neurons, self.scale, self.symmetric
        )
        return rows

    def peak(self, start: int, stop: int) -> float:
        """A bound instead of the largest magnitude: a deviate made of 32-bit words is limited, so
        the bound is known without generating all weights once more, and is less than twice the
        largest of 10^6 weights."""
        from distsim.elementary import LARGEST_NORMAL

        return self.scale * LARGEST_NORMAL

    def asymmetry(self, start: int, stop: int) -> Offence | None:
        """Without symmetry the first pair differs already, but for a coincidence."""
        if self.symmetric or self.scale == 0.0:
            return None
        for i in range(start, stop):
            row = self.rows(i, i + 1)[0]
            for j in range(self.neurons):
                mirrored = float(self.rows(j, j + 1)[0, i])
                if row[j] != mirrored or (i == j and row[j] != 0.0):
                    return i, j, float(row[j]), mirrored
        return None


class Hopfield:
    """P patterns stored by Hebb's rule, as a network of states 0 and 1.

    For spins y, xi in {-1, +1} Hopfield's network has the energy

        H = -1/2 sum_{i != j} V_ij y_i y_j,   V_ij = 1/N sum_p xi_pi xi_pj,   V_ii = 0.

    With y = 2 x - 1, the weights and the bias

        W_ij = 4 V_ij,   b_i = -2 sum_j V_ij

    make E(x) = -x'Wx/2 - b'x equal to H but for a constant. Patterns are kept as bits, and rows are
    counted from them. Hopfield, PNAS 79 (1982) 2554, with spins as in Amit, Gutfreund, Sompolinsky,
    Phys. Rev. A 32 (1985) 1007.

    patterns: uint8[P, N] of 0 and 1.
    """

    def __init__(self, patterns: NDArray[np.uint8]) -> None:
        self._count, self.neurons = patterns.shape
        self.name = "hopfield"
        self.names: tuple[str, ...] | None = None
        # 64 patterns a word, [words, N]: bit p % 64 of word [p // 64, i] is pattern p of neuron i.
        self._words = np.zeros((-(-self._count // 64), self.neurons), np.uint64)
        sums = np.full(self.neurons, -self._count, np.int64)  # N sum_j V_ij, V_ii = 0
        for p, pattern in enumerate(patterns):
            self._words[p // 64] |= pattern.astype(np.uint64) << np.uint64(p % 64)
            spins = 2 * pattern.astype(np.int64) - 1
            sums += spins * spins.sum()
        self.bias = sums * (-2.0 / self.neurons)

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]: 4/N (patterns in which i and j agree - other patterns)."""
        rows = np.empty((stop - start, self.neurons))
        for i in range(start, stop):
            others = np.bitwise_count(self._words[:, i, None] ^ self._words)
            rows[i - start] = self._count - 2 * others.sum(axis=0, dtype=np.int64)
            rows[i - start, i] = 0.0
        rows *= 4.0 / self.neurons
        return rows

    def peak(self, start: int, stop: int) -> float:
        """Largest magnitude in these rows."""
        rows = (self.rows(i, i + 1) for i in range(start, stop))
        return max((float(np.abs(row).max()) for row in rows), default=0.0)

    def asymmetry(self, start: int, stop: int) -> Offence | None:
        """None: the rule is symmetric, and the diagonal is zero."""
        return None
