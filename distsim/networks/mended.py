"""Matrices that are not quite what a machine takes: made symmetric, their diagonal in the bias.

A Boltzmann machine, and any energy, asks for symmetric weights, and the machine for none on the
diagonal. Since x_i^2 = x_i, the diagonal's part of E = -x'Wx/2 - b'x is -W_ii x_i / 2: the same as
that of a bias W_ii / 2. So energies and stationary laws stay; the rates of a McCulloch-Pitts
machine, of which W_ii is a self-edge, do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distsim.files import arrays
from distsim.networks.matrices import Dense, Sparse, as_entries
from distsim.networks.sparse_file import SparseFile

if TYPE_CHECKING:
    from distsim.weights.source import Offence, SparseRows


class Mended:
    """(W + W') / 2 instead of W, or W without its diagonal, half of which the bias gets; or both.

    It holds the contract of `weights.source.Network`. Of a file it reads columns as well as rows:
    each rank reads its part twice.
    """

    formula = synapses = None

    def __init__(
        self, matrix: Dense | Sparse | SparseFile, *, symmetrize: bool, diagonal_to_bias: bool
    ) -> None:
        self.name, self.names, self.neurons = matrix.name, matrix.names, matrix.neurons
        self.population = matrix.population
        self.maxcut = matrix.maxcut
        self.notes = matrix.notes
        self.bias = matrix.bias
        if diagonal_to_bias:
            self.bias = matrix.bias + matrix.diagonal() / 2
        self._matrix = matrix
        self._symmetrize, self._moved = symmetrize, diagonal_to_bias

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        rows = self._matrix.rows(start, stop)
        if self._symmetrize:  # each half by itself: their sum has no order, and does not overflow
            rows /= 2
            rows += self._matrix.columns(start, stop).T / 2
        if self._moved:
            i = np.arange(stop - start)
            rows[i, start + i] = 0.0
        return rows

    def entries(self, start: int, stop: int) -> int | None:
        """At most so many, of a sparse matrix."""
        count = self._matrix.entries(start, stop)
        if count is not None and self._symmetrize:
            count += int(self._matrix.mirrored_rows(start, stop).nnz)
        return count

    def sparse_rows(self, start: int, stop: int) -> SparseRows | None:
        """As `rows`, of a sparse matrix."""
        given = self._matrix.sparse_rows(start, stop)
        if given is None:
            return None
        from scipy.sparse import csr_array

        row, source, weights = given
        rows = csr_array((weights, source, row), shape=(stop - start, self.neurons))
        if self._symmetrize:
            rows = rows / 2 + self._matrix.mirrored_rows(start, stop) / 2
            rows.sort_indices()
        if self._moved:
            i = np.repeat(np.arange(start, stop), np.diff(rows.indptr))
            rows.data[rows.indices == i] = 0.0
        return as_entries(rows)

    def peak(self, start: int, stop: int) -> float:
        """Largest magnitude in these rows, as they are given out."""
        largest = self._matrix.peak(start, stop)  # refuses what is no number, and damage
        if largest == 0.0 and not self._symmetrize:
            return 0.0
        given = self.sparse_rows(start, stop)
        if given is not None:
            return float(np.abs(given[2]).max(initial=0.0))
        step = max(1, arrays.TILE_BYTES // (8 * self.neurons))
        parts = (self.rows(i, min(stop, i + step)) for i in range(start, stop, step))
        return max((float(np.abs(part).max()) for part in parts), default=0.0)

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None:
        """Of a matrix made symmetric, the diagonal alone."""
        if not self._symmetrize:
            return self._matrix.asymmetry(start, stop, loops=loops or self._moved)
        if loops or self._moved:
            return None
        diagonal = self._matrix.diagonal()
        for i in start + np.flatnonzero(diagonal[start:stop])[:1]:
            return int(i), int(i), float(diagonal[i]), float(diagonal[i])
        return None
