"""Hopfield's memory: patterns stored by Hebb's rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distsim.weights.fitting import check_bytes

if TYPE_CHECKING:
    from distsim.weights.source import Offence


def check_patterns(place: str, count: int, neurons: int) -> None:
    """Refuse patterns that do not fit: a byte each as they are read, a bit as they are kept, and
    as much again while a row is counted."""
    wanted = count * neurons * 3 // 2
    check_bytes(place, f"{count:,} patterns of {neurons:,} neurons", wanted)


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

    formula = synapses = None

    def __init__(self, patterns: NDArray[np.uint8]) -> None:
        self._count, self.neurons = patterns.shape
        self.name = "hopfield"
        self.names: tuple[str, ...] | None = None
        self.population: tuple[str, ...] | None = None
        self.notes: tuple[str, ...] = ()
        self.maxcut = False
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

    def entries(self, start: int, stop: int) -> None:
        """All weights are held alike."""

    def sparse_rows(self, start: int, stop: int) -> None:
        """As `entries`."""

    def peak(self, start: int, stop: int) -> float:
        """Largest magnitude in these rows."""
        rows = (self.rows(i, i + 1) for i in range(start, stop))
        return max((float(np.abs(row).max()) for row in rows), default=0.0)

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None:
        """None: the rule is symmetric, and the diagonal is zero."""
        return None
