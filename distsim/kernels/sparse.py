"""Sparse weights, column by column: of each source the local neurons that it has weights onto.

Local neurons may be cut into tiles, whose parts of all columns lie one after the other: for loops
that work on a tile of z, which stays in the cache (`queue_visits.py`). Without there is one tile.

It has no twin yet. `columns.py` reaches W by its places, dense or sparse; the loops here are those
that `dense.py` has for dense weights.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.dense import factor


class Columns(NamedTuple):
    """start: int64[tiles, N + 1], where the parts of the columns begin; target: uint16/32[...],
    local neurons, counted from the tile's first and rising in a part; weight: int8/16/32[...],
    none of them 0; tile: so many neurons are in each tile, but for the last."""

    start: Any
    target: Any
    weight: Any
    tile: int


@njit(inline="always")
def part(columns, b, j):
    """Where the part in tile b of neuron j's column begins and ends."""
    k = np.uint64(j)
    start = columns.start[np.uint64(b)]
    return np.uint64(start[k]), np.uint64(start[k + np.uint64(1)])


@njit(inline="always")
def column(columns, j):
    """Where the column of neuron j begins and ends, if there is one tile."""
    return part(columns, 0, j)


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
    b = i // columns.tile
    low = np.uint64(i - b * columns.tile)
    begin, end = part(columns, b, j)
    at = place(columns, low, begin, end)
    if at < end and columns.target[at] == low:
        return np.int64(columns.weight[at])
    return np.int64(0)


@njit(inline="always")
def tile_of(columns, b, z):
    """What is of the neurons of tile b, of an array of all local ones."""
    return z[b * columns.tile : (b + 1) * columns.tile]


# -------------------------------------------------------------------------------------- making them
@njit(cache=True)
def count(first, row, source, weight, tile, start):
    """start[b, j + 1] is more by as many weights as the rows from local neuron `first` on have in
    tile b from neuron j. row: int64[rows + 1], where each begins."""
    for k in range(row.size - 1):
        counts = start[(first + k) // tile]
        for e in range(row[k], row[k + 1]):
            counts[np.int64(source[e]) + 1] += weight[e] != 0


@njit(cache=True)
def open_columns(start):
    """From counts to where each part begins: that of neuron j at j + 1, where `fill` counts on to
    its end, which is where the next begins. Returns how many weights there are."""
    total = 0
    for b in range(start.shape[0]):
        start[b, 0] = total
        for j in range(1, start.shape[1]):
            here = start[b, j]
            start[b, j] = total
            total += here
    return total


@njit(cache=True)
def fill(first, row, source, weight, columns):
    """Put the rows from local neuron `first` on in their places. Rows come in their order."""
    for k in range(row.size - 1):
        b = (first + k) // columns.tile
        free = columns.start[b]
        for e in range(row[k], row[k + 1]):
            if weight[e] != 0:
                j = np.uint64(source[e]) + np.uint64(1)
                at = np.uint64(free[j])
                columns.target[at] = first + k - b * columns.tile
                columns.weight[at] = weight[e]
                free[j] += 1


@njit(cache=True)
def count_targets(whole, tile, start):
    """As `count`, of columns of one tile that are to be cut."""
    for j in range(whole.start.shape[1] - 1):
        begin, end = column(whole, j)
        for i in whole.target[begin:end]:
            start[i // tile, j + 1] += 1


@njit(cache=True)
def cut(whole, columns):
    """Put columns of one tile into those of several."""
    for j in range(whole.start.shape[1] - 1):
        begin, end = column(whole, j)
        for e in range(begin, end):
            i = np.int64(whole.target[e])
            b = i // columns.tile
            at = columns.start[b, j + 1]
            columns.target[at] = i - b * columns.tile
            columns.weight[at] = whole.weight[e]
            columns.start[b, j + 1] += 1


# ------------------------------------------------------------------------------ looking at all
@njit(cache=True)
def multiply(columns, x, z):
    """z[n] += W x for the global states x: uint8[N]."""
    kind = z.dtype.type
    for b in range(columns.start.shape[0]):
        here = tile_of(columns, b, z)
        for j in range(x.size):
            if x[j]:
                begin, end = part(columns, b, j)
                for e in range(begin, end):
                    here[columns.target[e]] += kind(columns.weight[e])


@njit(cache=True)
def magnitudes(columns, absolute):
    """absolute: int64[n], the sum of magnitudes onto each neuron (out). Returns the sum of
    squares."""
    squares = 0.0
    absolute[:] = 0
    for b in range(columns.start.shape[0]):
        here = tile_of(columns, b, absolute)
        for e in range(columns.start[b, 0], columns.start[b, -1]):
            a = abs(np.int64(columns.weight[e]))
            here[columns.target[e]] += a
            squares += np.float64(a) * np.float64(a)
    return squares


@njit(cache=True)
def degrees(columns, onto, out):
    """onto: int64[n], how many weights there are onto each neuron (out); out: int64[N], from."""
    onto[:] = out[:] = 0
    for b in range(columns.start.shape[0]):
        here = tile_of(columns, b, onto)
        for i in columns.target[columns.start[b, 0] : columns.start[b, -1]]:
            here[i] += 1
        for j in range(out.size):
            out[j] += columns.start[b, j + 1] - columns.start[b, j]


@njit(cache=True)
def digest(columns, first, n):
    """As `dense.digest`, of the n neurons from `first` on."""
    factors = np.empty(n, np.uint64)
    for i in range(n):
        factors[i] = factor(2 * (first + i) + 1)
    total = np.uint64(0)
    for b in range(columns.start.shape[0]):
        here = tile_of(columns, b, factors)
        for j in range(columns.start.shape[1] - 1):
            begin, end = part(columns, b, j)
            of_column = np.uint64(0)
            for e in range(begin, end):
                of_column += np.uint64(np.int64(columns.weight[e])) * here[columns.target[e]]
            total += of_column * factor(2 * j + 2)
    return total


@njit(cache=True)
def diagonal(columns, first, found):
    """found: int[n] (out), W[i, i] of the local neurons, which begin with `first`."""
    kind = found.dtype.type
    for i in range(found.size):
        found[i] = kind(weight(columns, i, first + i))
