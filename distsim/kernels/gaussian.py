"""Gaussian weights: W[i, j] = scale * a normal deviate that is named by (seed, i, j).

Two Box-Muller pairs of one draw give the weights onto neurons 4 g .. 4 g + 3 from neuron j.
`gaussian.cuh` and `gaussian.cu` are the twins.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.elementary import normal_pair
from distsim.kernels.philox import WEIGHT, draw


class Formula(NamedTuple):
    """What such weights follow from.

    seed: a NumPy uint64; symmetric: W[i, j] = W[j, i], named by (min, max), and W[i, i] = 0.
    """

    seed: Any
    scale: float
    symmetric: bool


@njit(cache=True)
def gaussian_rows(formula, start, stop, neurons):
    """float64[stop - start, neurons]: rows of W."""
    rows = np.empty((stop - start, neurons))
    words = np.empty(2 * (stop - start) + 8, np.uint32)
    deviates = np.empty(words.size)
    for j in range(neurons):
        _gaussian_column(formula, start, stop, j, words, deviates)
        rows[:, j] = deviates[: stop - start]
    return rows


@njit(cache=True)
def fill_gaussian(formula, first, stop, unit, columns):
    """Rows first .. stop - 1 of W in weight units, columns: int[N, n] (out)."""
    n = stop - first
    kind = columns.dtype.type
    words = np.empty(2 * n + 8, np.uint32)
    deviates = np.empty(words.size)
    for j in range(columns.shape[0]):
        column = columns[j]
        _gaussian_column(formula, first, stop, j, words, deviates)
        for i in range(n):
            column[i] = kind(np.rint(deviates[i] / unit))


@njit(cache=True)
def _gaussian_column(formula, start, stop, j, words, deviates):
    """deviates[: stop - start] = W[start:stop, j]; of a symmetric W the function of (min, max).

    A draw gives four deviates, onto the neurons 4 g .. 4 g + 3 from j. words: uint32, deviates:
    float64 [2 (stop - start) + 8] work space.
    """
    seed, scale, symmetric = formula
    upper = max(start, min(stop, j)) if symmetric else stop  # below it the draws are named (i, j)
    offset = start & 3
    groups = (upper - start + offset + 3) >> 2
    for g in range(groups):
        a, b, c, d = draw(seed, (start >> 2) + g, j, 0, WEIGHT)
        words[4 * g] = np.uint32(a)
        words[4 * g + 1] = np.uint32(b)
        words[4 * g + 2] = np.uint32(c)
        words[4 * g + 3] = np.uint32(d)
    _normals(words, 2 * groups, deviates)
    for i in range(upper - start):
        deviates[i] = scale * deviates[i + offset]
    if upper == stop:
        return
    lower = max(start, j)  # from here on (j, i): one deviate of each draw
    rest = stop - lower
    for k in range(rest):
        a, b, c, d = draw(seed, j >> 2, lower + k, 0, WEIGHT)
        words[2 * k] = np.uint32(a) if j & 2 == 0 else np.uint32(c)
        words[2 * k + 1] = np.uint32(b) if j & 2 == 0 else np.uint32(d)
    tail = deviates[upper - start :]
    _normals(words, rest, tail)
    for k in range(rest):
        tail[k] = scale * tail[2 * k + (j & 1)]
    if lower == j:
        tail[0] = 0.0


@njit(cache=True)
def _normals(words, pairs, deviates):
    """Two standard normal deviates of each pair of words."""
    for p in range(pairs):
        deviates[2 * p], deviates[2 * p + 1] = normal_pair(words[2 * p], words[2 * p + 1])
