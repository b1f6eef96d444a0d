"""Networks whose weights are given: a matrix in memory or in a file, dense or sparse.

Both classes hold the contract of `weights.source.Network`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files.arrays import TILE_BYTES, ArrayFile, check_real
from distsim.networks.checks import as_bias, as_numbers, check_square, not_finite
from distsim.networks.text import shown

if TYPE_CHECKING:
    from distsim.weights.source import Offence, SparseRows


def from_array(weights: Any, bias: Any = None) -> Dense | Sparse:
    """W[N, N] from an array or a scipy.sparse matrix, referred to, not copied; bias[N]."""
    if bias is not None:
        bias = as_numbers("array", "bias", bias, "N numbers")
    if hasattr(weights, "tocsr"):
        return Sparse("array", weights, bias)
    return Dense("array", as_numbers("array", "weights", weights, "N x N"), bias)


class Dense:
    """All weights as a matrix, in memory or in a file: W[N, N] of any real dtype, either order.

    A file is read in bands of 16 MiB or, of many rows, of a 32nd of a byte a weight: 3% of the
    memory that the same weights take as int8. Nothing read is kept.
    """

    formula = synapses = None

    def __init__(
        self,
        name: str,
        weights: NDArray[Any] | ArrayFile,
        bias: NDArray[Any] | None = None,
        names: tuple[str, ...] | None = None,
    ) -> None:
        check_real(name, weights.dtype)
        check_square(name, weights.shape)
        self.name = name
        self.names = names
        self.population: tuple[str, ...] | None = None
        self.neurons: int = weights.shape[0]
        self.bias = np.zeros(self.neurons) if bias is None else as_bias(name, bias, self.neurons)
        self.maxcut = False
        self.notes: tuple[str, ...] = ()
        self._weights = weights

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        return self._weights[start:stop, :].astype(np.float64, order="C")

    def columns(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[N, stop - start]."""
        return self._weights[:, start:stop].astype(np.float64)

    def diagonal(self) -> NDArray[np.float64]:
        """float64[N]."""
        found = np.empty(self.neurons)
        for i in range(0, self.neurons, 64):
            found[i : i + 64] = self._weights[i : i + 64, i : i + 64].diagonal()
        return found

    def entries(self, start: int, stop: int) -> None:
        """All weights are held alike."""

    def sparse_rows(self, start: int, stop: int) -> None:
        """As `entries`."""

    def mirrored_rows(self, start: int, stop: int) -> Any:
        """As `entries`."""

    def peak(self, start: int, stop: int) -> float:
        """Largest magnitude in these rows. Whoever has the last row verifies the file's checksum,
        so that one rank does, and the others read only their own rows."""
        if stop == self.neurons and isinstance(self._weights, ArrayFile):
            self._weights.verify()
        largest = 0.0
        for i0, i1 in self._bands(start, stop):
            band = self._weights[i0:i1, :]
            # Not abs: int8 has no +128.
            extremes = (float(band.max()), -float(band.min()))
            if not all(map(math.isfinite, extremes)):
                with np.errstate(over="ignore"):  # what a float64 cannot hold is refused
                    bad = ~np.isfinite(band.astype(np.float64))
                i, j = divmod(int(np.argmax(bad)), self.neurons)
                raise not_finite(self.name, i0 + i, j, float(band[i, j]))
            largest = max(largest, *extremes)
        return largest

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None:
        """Compares bands of these rows with the columns of the same neurons, tile by tile."""
        for i0, i1 in self._bands(start, stop):
            band = self._weights[i0:i1, :]
            first: Offence | None = None
            height = max(1, TILE_BYTES // ((i1 - i0) * band.itemsize))
            for j0 in range(0, self.neurons, height):
                j1 = min(self.neurons, j0 + height)
                mirrored = self._weights[j0:j1, i0:i1].T
                wrong = _rounded(band[:, j0:j1]) != _rounded(mirrored)
                for i in range(max(i0, j0), min(i1, j1)):
                    wrong[i - i0, i - j0] = not loops and band[i - i0, i] != 0
                if wrong.any():
                    i, j = divmod(int(np.argmax(wrong)), j1 - j0)
                    if first is None or i0 + i < first[0]:
                        pair = float(band[i, j0 + j]), float(mirrored[i, j])
                        first = (i0 + i, j0 + j, *pair)
            if first is not None:
                return first
        return None

    def _bands(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The rows in bands: few, as a band's columns cost a read a row of the file."""
        memory = max(TILE_BYTES, self.neurons * (stop - start) // 32)
        height = max(1, memory // (self.neurons * self._weights.dtype.itemsize))
        for i0 in range(start, stop, height):
            yield i0, min(stop, i0 + height)


def _rounded(tile: NDArray[Any]) -> NDArray[Any]:
    """Weights that are equal if and only if they are as float64, which `rows` gives."""
    with np.errstate(over="ignore"):
        return tile.astype(np.float64, copy=False) if tile.dtype.itemsize >= 8 else tile


class Sparse:
    """The weights that are not zero, as scipy.sparse.csr_array[N, N], on every rank: those of up
    to four bytes as they are, others as float64.

    Entries of the same place are summed, as SciPy reads them, but as float64: int8 would wrap.
    """

    formula = synapses = None

    def __init__(
        self,
        name: str,
        weights: Any,
        bias: NDArray[Any] | None = None,
        names: tuple[str, ...] | None = None,
        maxcut: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        check_real(name, weights.dtype)
        check_square(name, weights.shape)
        self.name = name
        self.names = names
        self.population: tuple[str, ...] | None = None
        self.neurons: int = weights.shape[0]
        self.bias = np.zeros(self.neurons) if bias is None else as_bias(name, bias, self.neurons)
        self._weights = _canonical(name, weights)
        self.maxcut = maxcut
        self.notes = tuple(notes)

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        return _dense(self._weights[start:stop])

    def whole(self) -> Any:
        """All of them, as scipy.sparse.csr_array."""
        return self._weights

    def entries(self, start: int, stop: int) -> int:
        """How many there are in these rows."""
        return int(self._weights.indptr[stop] - self._weights.indptr[start])

    def sparse_rows(self, start: int, stop: int) -> SparseRows:
        """Where each row begins, sources, weights."""
        return as_entries(self._weights[start:stop])

    def mirrored_rows(self, start: int, stop: int) -> Any:
        """These rows of W', as scipy.sparse.csr_array of float64."""
        return self._by_column[:, start:stop].T.tocsr().astype(np.float64, copy=False)

    @cached_property
    def _by_column(self) -> Any:
        return self._weights.tocsc()

    def columns(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[N, stop - start]."""
        return _dense(self._by_column[:, start:stop])

    def diagonal(self) -> NDArray[np.float64]:
        """float64[N]."""
        diagonal: NDArray[np.float64] = self._weights.diagonal().astype(np.float64)
        return diagonal

    def peak(self, start: int, stop: int) -> float:
        """Largest magnitude in these rows."""
        begin = self._weights.indptr[start]
        values = self._weights.data[begin : self._weights.indptr[stop]]
        if not values.size:
            return 0.0
        extremes = (float(values.max()), -float(values.min()))
        if not all(map(math.isfinite, extremes)):
            k = int(np.argmax(~np.isfinite(values)))
            i = int(np.searchsorted(self._weights.indptr, begin + k, side="right")) - 1
            raise not_finite(self.name, i, int(self._weights.indices[begin + k]), float(values[k]))
        return max(0.0, *extremes)

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None:
        """Compares these rows with the columns of the same neurons."""
        rows = self._weights[start:stop]
        mirrored = self._weights[:, start:stop].T.tocsr()
        own = start + np.flatnonzero(not loops and self._weights.diagonal()[start:stop])
        i, j = (rows != mirrored).nonzero()
        i, j = np.concatenate([i + start, own]), np.concatenate([j, own])
        if not i.size:
            return None
        k = np.lexsort((j, i))[0]
        a, b = int(i[k]), int(j[k])
        return a, b, float(rows[a - start, b]), float(mirrored[a - start, b])


def _dense(part: Any) -> NDArray[np.float64]:
    """A part of a scipy.sparse matrix, in C order."""
    return part.toarray(order="C").astype(np.float64, copy=False)  # type: ignore[no-any-return]


def as_entries(rows: Any) -> SparseRows:
    """A scipy.sparse.csr_array as `sparse_rows` gives it: its weights are copied."""
    return rows.indptr.astype(np.int64), rows.indices, rows.data.astype(np.float64)


def _canonical(name: str, weights: Any) -> Any:
    """A scipy.sparse matrix as csr_array with one entry a place.

    Its indices are checked: SciPy's C code trusts them. The caller's own stays as it is.
    """
    from scipy.sparse import coo_array, csr_array

    try:
        if hasattr(weights, "check_format"):
            weights.check_format(full_check=True)
        if weights.format not in ("csr", "csc", "coo") or weights.dtype.itemsize > 4:
            with np.errstate(over="ignore"):  # what a float64 cannot hold is refused
                weights = weights.astype(np.float64, copy=False)
        if weights.format == "coo":
            weights = coo_array((weights.data, (weights.row, weights.col)), shape=weights.shape)
            ends = (end.astype(np.int32, copy=False) for end in (weights.row, weights.col))
            weights = coo_array((weights.data, tuple(ends)), shape=weights.shape)
            weights.has_canonical_format = True  # or entries of a place would be summed as they are
        matrix = csr_array(weights)
        if not matrix.has_canonical_format:
            matrix = matrix.copy() if weights.format == "csr" else matrix
            matrix.sort_indices()
            matrix = csr_array((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
        if not matrix.has_canonical_format:
            matrix = matrix.astype(np.float64)
            matrix.sum_duplicates()
    except MemoryError:
        raise
    except Exception as error:  # SciPy answers damaged arrays with exceptions of any kind
        raise InputError(
            f"{name}: not a sparse matrix: {shown(str(error))}; allowed: what SciPy makes"
        ) from None
    return matrix
