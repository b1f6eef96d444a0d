"""Sparse weights, column by column: of each source the local neurons that it has weights onto.

It has no twin yet. `columns.py` reaches W by its places, dense or sparse; the loops here are those
that `dense.py` has for dense weights.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.dense import factor


class Columns(NamedTuple):
    """start: int64[N + 1], where each column begins; target: uint32[...], local neurons, rising in
    a column; weight: int8/16/32[...], none of them 0."""

    start: Any
    target: Any
    weight: Any


@njit(inline="always")
def column(columns, j):
    """Where the column of neuron j begins and ends."""
    k = np.uint64(j)
    return np.uint64(columns.start[k]), np.uint64(columns.start[k + np.uint64(1)])


@njit
def place(columns, i, low, high):
    """The first place from `low` on, before `high`, whose target is i or more."""
    while low < high:
        middle = (low + high) >> np.uint64(1)
        if columns.target[middle] < i:
            low = middle + np.uint64(1)
        else:
            high = middle
    return low


@njit
def weight(columns, i, j):
    """The weight onto local neuron i from neuron j, as int64."""
    begin, end = column(columns, j)
    at = place(columns, np.uint64(i), begin, end)
    if at < end and columns.target[at] == np.uint64(i):
        return np.int64(columns.weight[at])
    return np.int64(0)


# -------------------------------------------------------------------------------------- making them
@njit(cache=True)
def count(source, weight, counts):
    """counts: int64[N + 1]: at j + 1 so many more as neuron j has weights that are not zero."""
    for e in range(source.size):
        counts[np.int64(source[e]) + 1] += weight[e] != 0


@njit(cache=True)
def fill(first, row, source, weight, free, columns):
    """Put rows from local neuron `first` on in their places.

    row: int64[rows + 1], where each begins; free: int64[N], the next free place of each column.
    Rows come in their order.
    """
    for k in range(row.size - 1):
        for e in range(row[k], row[k + 1]):
            if weight[e] != 0:
                j = np.uint64(source[e])
                at = np.uint64(free[j])
                columns.target[at] = first + k
                columns.weight[at] = weight[e]
                free[j] += 1


# ------------------------------------------------------------------------------ looking at all
@njit(cache=True)
def multiply(columns, x, z):
    """z[n] += W x for the global states x: uint8[N]."""
    kind = z.dtype.type
    for j in range(x.size):
        if x[j]:
            begin, end = column(columns, j)
            for e in range(begin, end):
                z[columns.target[e]] += kind(columns.weight[e])


@njit(cache=True)
def magnitudes(columns, absolute):
    """absolute: int64[n], the sum of magnitudes onto each neuron (out). Returns the sum of squares,
    in the order of `dense.magnitudes`."""
    squares = 0.0
    absolute[:] = 0
    for e in range(columns.target.size):
        a = abs(np.int64(columns.weight[e]))
        absolute[columns.target[e]] += a
        squares += np.float64(a) * np.float64(a)
    return squares


@njit(cache=True)
def degrees(target, onto):
    """onto: int64[n] += how many weights there are onto each neuron."""
    for i in target:
        onto[i] += 1


@njit(cache=True)
def digest(columns, first, n):
    """As `dense.digest`, of the n neurons from `first` on."""
    factors = np.empty(n, np.uint64)
    for i in range(n):
        factors[i] = factor(2 * (first + i) + 1)
    total = np.uint64(0)
    for j in range(columns.start.size - 1):
        begin, end = column(columns, j)
        of_column = np.uint64(0)
        for e in range(begin, end):
            of_column += np.uint64(np.int64(columns.weight[e])) * factors[columns.target[e]]
        total += of_column * factor(2 * j + 2)
    return total


@njit(cache=True)
def diagonal(columns, first, found):
    """found: int[n] (out), W[i, i] of the local neurons, which begin with `first`."""
    kind = found.dtype.type
    for i in range(found.size):
        found[i] = kind(weight(columns, i, first + i))
