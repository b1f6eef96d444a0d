"""Gaussian weights that are a formula: nothing is stored."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distsim.kernels.gaussian import Formula
    from distsim.weights.source import Offence


class Gaussian:
    """Weights normal(0, coupling / sqrt(N)): W[i, j] a function of (seed, i, j) alone.

    `symmetric`: W[i, j] = W[j, i], the function of (seed, min, max), without diagonal. No weight is
    stored. This is the random network of Sompolinsky, Crisanti, Sommers, Phys. Rev. Lett. 61
    (1988) 259, and, symmetric, the spin glass of Sherrington, Kirkpatrick, ibid. 35 (1975) 1792.
    """

    synapses = None

    def __init__(self, neurons: int, coupling: float, seed: int, symmetric: bool) -> None:
        self.name = "gaussian"
        self.names: tuple[str, ...] | None = None
        self.population: tuple[str, ...] | None = None
        self.notes: tuple[str, ...] = ()
        self.maxcut = False
        self.neurons = neurons
        self.bias = np.zeros(neurons)
        self.seed = np.uint64(seed)
        self.scale = coupling / math.sqrt(neurons)
        self.symmetric = symmetric

    @property
    def formula(self) -> Formula:
        from distsim.kernels.gaussian import Formula

        return Formula(self.seed, self.scale, self.symmetric)

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        from distsim.kernels.gaussian import gaussian_rows

        rows: NDArray[np.float64] = gaussian_rows(self.formula, start, stop, self.neurons)
        return rows

    def entries(self, start: int, stop: int) -> None:
        """All weights are held alike."""

    def sparse_rows(self, start: int, stop: int) -> None:
        """As `entries`."""

    def peak(self, start: int, stop: int) -> float:
        """A bound instead of the largest magnitude: a deviate made of 32-bit words is limited, so
        the bound is known without generating all weights once more, and is less than twice the
        largest of 10^6 weights."""
        from distsim.kernels.elementary import LARGEST_NORMAL

        return self.scale * LARGEST_NORMAL

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None:
        """Without symmetry the first pair differs already, but for a coincidence."""
        if self.symmetric or self.scale == 0.0:
            return None
        for i in range(start, stop):
            row = self.rows(i, i + 1)[0]
            for j in range(self.neurons):
                mirrored = float(self.rows(j, j + 1)[0, i])
                if row[j] != mirrored or (i == j and row[j] != 0.0 and not loops):
                    return i, j, float(row[j]), mirrored
        return None
