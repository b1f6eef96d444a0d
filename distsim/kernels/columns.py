"""W by its places, in compiled loops that take dense and sparse columns alike.

Which of the two is known when a loop is compiled.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from distsim.kernels import dense, sparse
from distsim.kernels.memory import LINE, prefetch


def _weight(columns, i, j):
    raise NotImplementedError


@overload(_weight)
def _weight_of(columns, i, j):
    if isinstance(columns, types.Array):
        return lambda columns, i, j: np.int64(dense.weight(columns, i, j))
    return lambda columns, i, j: sparse.weight(columns, i, j)


@njit(inline="always")
def weight(columns, i, j):
    """The weight onto local neuron i from neuron j, as int64."""
    return _weight(columns, i, j)  # type: ignore[no-untyped-call]


def _add_to(columns, j, sign, neurons, place, sums):
    raise NotImplementedError


@overload(_add_to)
def _add_to_of(columns, j, sign, neurons, place, sums):
    def of_dense(columns, j, sign, neurons, place, sums):
        w = dense.column(columns, j)
        for a in range(neurons.size):
            sums[a] += sign * np.int64(w[neurons[a]])

    def of_sparse(columns, j, sign, neurons, place, sums):
        for b in range(columns.start.shape[0]):
            here = sparse.tile_of(columns, b, place)
            begin, end = sparse.part(columns, b, j)
            for e in range(begin, end):
                a = here[columns.target[e]]
                if a >= 0:
                    sums[a] += sign * np.int64(columns.weight[e])

    return of_dense if isinstance(columns, types.Array) else of_sparse


@njit(inline="always")
def add_to(columns, j, sign, neurons, place, sums):
    """sums: int64[...] += sign times the weights from neuron j onto these local neurons; place:
    int64[n], of each in them, or -1."""
    _add_to(columns, j, sign, neurons, place, sums)  # type: ignore[no-untyped-call]


def _add_row(columns, j, sign, first, sums):
    raise NotImplementedError


@overload(_add_row)
def _add_row_of(columns, j, sign, first, sums):
    def of_dense(columns, j, sign, first, sums):
        part = dense.column(columns, j)[first : first + sums.size]
        for k in range(part.size):
            sums[k] += sign * np.int64(part[k])

    def of_sparse(columns, j, sign, first, sums):
        stop = first + sums.size
        for b in range(first // columns.tile, -(-stop // columns.tile)):
            base = b * columns.tile
            begin, end = sparse.part(columns, b, j)
            low = np.uint64(max(first - base, 0))
            for e in range(sparse.place(columns, low, begin, end), end):
                k = base + np.int64(columns.target[e]) - first
                if k >= sums.size:
                    break
                sums[k] += sign * np.int64(columns.weight[e])

    return of_dense if isinstance(columns, types.Array) else of_sparse


@njit(inline="always")
def add_row(columns, j, sign, first, sums):
    """The same onto the local neurons from `first` on, as many as there are sums."""
    _add_row(columns, j, sign, first, sums)  # type: ignore[no-untyped-call]


def _ask_for(columns, j, first, last):
    raise NotImplementedError


@overload(_ask_for)
def _ask_for_of(columns, j, first, last):
    def of_dense(columns, j, first, last):
        w = dense.column(columns, j)
        for i in range(first, last + 1, LINE // w.itemsize):
            prefetch((w,), i)  # type: ignore[call-arg]

    def of_sparse(columns, j, first, last):
        for b in range(columns.start.shape[0]):
            begin, end = sparse.part(columns, b, j)
            for e in range(begin, end, LINE // 4):
                prefetch((columns.target, columns.weight), e)  # type: ignore[call-arg]

    return of_dense if isinstance(columns, types.Array) else of_sparse


@njit(inline="always")
def ask_for(columns, j, first, last):
    """Prefetch the weights from neuron j onto the local neurons from `first` to `last`."""
    _ask_for(columns, j, first, last)  # type: ignore[no-untyped-call]
