"""Dense weights, column by column: columns: int8/16/32[N, n], zeros may follow the n.

`dense.cu` and `dense.cuh` are the twins.
"""

from typing import Any

import numpy as np
from numba import njit

from distsim.kernels.events import ONE
from distsim.kernels.memory import LINE, aligned
from distsim.kernels.record import GOLDEN, mix


@njit(inline="always")
def weight(columns, i, j):
    """The weight onto local neuron i from neuron j."""
    return columns[j, i]


@njit(inline="always")
def column(columns, j):
    """The weights onto all local neurons from neuron j."""
    return columns[j]


@njit(cache=True)
def multiply(columns, x, z):
    """z[n] += W x for the global states x: uint8[N]."""
    kind = z.dtype.type
    for j in range(x.size):
        if x[j]:
            w = columns[j]
            for i in range(z.size):
                z[i] += kind(w[i])


def make_columns(neurons: int, n: int, bits: int) -> Any:
    """Room for a rank's weights: int8/16/32[N, n], with a few zeros after some columns.

    Columns a multiple of 2 KiB apart would crowd the same places of the caches.
    """
    spare = 8 * LINE // bits if n and n * bits // 8 % 2048 == 0 else 0
    columns = aligned((neurons, n + spare), f"int{bits}")
    columns[:, n:] = 0
    return columns


@njit(cache=True)
def magnitudes(columns, absolute):
    """absolute: int64[n] = sum over j of |columns[j, i]| (out). Returns the sum of squares."""
    squares = 0.0
    absolute[:] = 0
    for j in range(columns.shape[0]):
        w = columns[j]
        for i in range(absolute.size):
            a = abs(np.int64(w[i]))
            absolute[i] += a
            squares += np.float64(a) * np.float64(a)
    return squares


@njit(cache=True)
def degrees(columns, onto, out):
    """onto: int64[n], out: int64[N] += the weights that are not zero, by row and by column."""
    for j in range(columns.shape[0]):
        w = columns[j]
        count = np.int64(0)
        for i in range(onto.size):
            there = np.int64(w[i] != 0)
            onto[i] += there
            count += there
        out[j] += count


@njit(inline="always")
def factor(k):
    """The k-th of a sequence of odd numbers without a pattern."""
    return mix(np.uint64(k) * GOLDEN) | ONE


@njit(cache=True)
def digest(columns, first):
    """sum over i, j of W_ij a_i b_j modulo 2^64: a sum that does not depend on who adds up.

    columns: int[N, n] of the neurons from `first` on. a_i, b_j are odd, so that a change of one
    weight always changes the sum.
    """
    width = columns.shape[1]
    factors = np.empty(width, np.uint64)
    for i in range(width):
        factors[i] = factor(2 * (first + i) + 1)
    total = np.uint64(0)
    for j in range(columns.shape[0]):
        w = columns[j]
        total_of_column = np.uint64(0)
        for i in range(width):
            total_of_column += np.uint64(np.int64(w[i])) * factors[i]
        total += total_of_column * factor(2 * j + 2)
    return total
