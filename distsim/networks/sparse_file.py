"""A scipy.sparse matrix in a file, read by blocks of rows: it is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distsim.files.arrays import ArrayFile
from distsim.networks.checks import check_neurons, not_finite
from distsim.networks.matrices import Sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from distsim.weights.source import Offence, SparseRows

_BLOCK = 1 << 17  # weights read at a time


def by_rows(members: Mapping[str, ArrayFile]) -> NDArray[np.int64] | None:
    """Where each row begins, int64[N + 1], of what scipy.sparse.save_npz wrote as csr with sorted
    sources, each once; None of anything else, damaged or not. Reads all indices."""
    if not {"format", "shape", "data", "indices", "indptr"} <= members.keys():
        return None
    data, indices, indptr = (members[name] for name in ("data", "indices", "indptr"))
    kinds = data.dtype.kind + indices.dtype.kind + indptr.dtype.kind
    plain = kinds[1:] == "ii" and kinds[0] in "biuf" and data.dtype.itemsize <= 8
    shapes = [members[name].shape for name in ("format", "shape", "data", "indices", "indptr")]
    if not plain or shapes[:2] != [(), (2,)] or {*map(len, shapes[2:])} != {1}:
        return None
    if data.shape != indices.shape or members["format"].scalar() not in (b"csr", "csr"):
        return None
    neurons, columns = members["shape"].whole().tolist()
    if neurons != columns or indptr.shape != (neurons + 1,):
        return None
    row = indptr.whole().astype(np.int64)
    if row[0] != 0 or row[-1] != indices.shape[0] or (np.diff(row) < 0).any():
        return None
    for start, stop in _blocks(row, 0, neurons):
        source = indices.part(int(row[start]), int(row[stop])).astype(np.int64)
        if source.size and not 0 <= source.min() <= source.max() < neurons:
            return None
        falls = np.flatnonzero(np.diff(source) <= 0) + 1 + row[start]
        if not np.isin(falls, row[start:stop]).all():
            return None
    for array in (data, indices, indptr):
        array.verify()
    return row


class SparseFile:
    """Such a file, of which a rank reads its rows alone. It holds `weights.source.Network`.

    What needs columns, as the check for symmetry does, reads all of it: `networks.matrices.Sparse`.
    """

    formula = synapses = None
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        path: str,
        row: NDArray[np.int64],
        members: Mapping[str, ArrayFile],
        bias: NDArray[np.float64],
        whole: Callable[[], Sparse],
    ) -> None:
        """row: of `by_rows`; whole: reads all."""
        check_neurons(path, row.size - 1)
        self.name = path
        self.neurons = row.size - 1
        self.bias = bias
        self.maxcut = False
        self.population: tuple[str, ...] | None = None
        self._row = row
        self._data, self._indices = members["data"], members["indices"]
        self._read_whole = whole

    @cached_property
    def _whole(self) -> Sparse:
        return self._read_whole()

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        row, source, weights = self.sparse_rows(start, stop)
        rows = np.zeros((stop - start, self.neurons))
        rows[np.repeat(np.arange(stop - start), np.diff(row)), source] = weights
        return rows

    def entries(self, start: int, stop: int) -> int:
        """How many there are in these rows."""
        return int(self._row[stop] - self._row[start])

    def sparse_rows(self, start: int, stop: int) -> SparseRows:
        """Where each row begins, sources, weights."""
        begin, end = int(self._row[start]), int(self._row[stop])
        weights = self._data.part(begin, end).astype(np.float64)
        return self._row[start : stop + 1] - begin, self._indices.part(begin, end), weights

    def peak(self, start: int, stop: int) -> float:
        """Largest magnitude in these rows."""
        largest = 0.0
        for i0, i1 in _blocks(self._row, start, stop):
            row, source, weights = self.sparse_rows(i0, i1)
            here = float(np.abs(weights).max(initial=0.0))
            if not np.isfinite(here):
                k = int(np.argmin(np.isfinite(weights)))
                i = i0 + int(np.searchsorted(row, k, side="right")) - 1
                raise not_finite(self.name, i, int(source[k]), float(weights[k]))
            largest = max(largest, here)
        return largest

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None:
        return self._whole.asymmetry(start, stop, loops=loops)

    def columns(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[N, stop - start]."""
        return self._whole.columns(start, stop)

    def mirrored_rows(self, start: int, stop: int) -> Any:
        """These rows of W', as scipy.sparse.csr_array."""
        return self._whole.mirrored_rows(start, stop)

    def diagonal(self) -> NDArray[np.float64]:
        """float64[N]."""
        return self._whole.diagonal()


def _blocks(row: NDArray[np.int64], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Rows [start, stop) in parts of about as many weights each, one row at least."""
    while start < stop:
        end = int(np.searchsorted(row, row[start] + _BLOCK, side="right")) - 1
        end = min(stop, max(start + 1, end))
        yield start, end
        start = end
