"""Layers of a BM: neurons one after the other without weights among themselves. No CuPy.

A scan that visits neurons in their order decides those of a layer as if at once: none tells on
another. An RBM has two layers; W says which, nobody has to.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.gpu.variants import BLOCK

NOBODY = -(2.0**28)  # the rest, in single precision, of a place without a neuron: it stays at 0
_ROWS = 1 << 24  # elements of W looked at a time


class Layering(NamedTuple):
    """Where layers are put, in places of which each begins with a multiple of 64.

    bounds: int64[L + 1], where layers begin among the neurons, and N; place: int64[N], of a neuron;
    size: places in all; layers: int32[L, 5], first place, how many from there on, the neuron of the
    first place, where its `columns` begin and end: int32[C], tiles of 64 places that are not zero.
    """

    bounds: NDArray[np.int64]
    place: NDArray[np.int64]
    size: int
    layers: NDArray[np.int32]
    columns: NDArray[np.int32]


def bounds_of(weights: NDArray[Any]) -> NDArray[np.int64]:
    """int64[L + 1]: the fewest runs [a, b) of neurons with W[a:b, a:b] = 0, by their bounds.

    weights: [N, N], symmetric, without diagonal.
    """
    neurons = len(weights)
    found = [0]
    for i, before in enumerate(_neighbours_before(weights)):
        if before >= found[-1]:
            found.append(i)
    return np.array([*found, neurons], np.int64)


def layering(weights: NDArray[Any], bounds: NDArray[np.int64]) -> Layering:
    """The layers between these bounds, in places."""
    if bounds.size == 2:  # the flips of one layer are told while the next is decided
        bounds = np.insert(bounds, 1, bounds[1] // 2)
    place = np.empty(len(weights), np.int64)
    rows = []
    size = 0
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        first = a & ~3  # its place is a multiple of four, as its number is
        place[a:b] = size + np.arange(a, b) - first
        rows.append((size, b - first, first))
        size += -(-(b - first) // BLOCK) * BLOCK
    layers = np.zeros((len(rows), 5), np.int32)
    layers[:, :3] = rows
    columns: list[int] = []
    for layer, a, b in zip(layers, bounds[:-1], bounds[1:], strict=True):
        layer[3] = len(columns)
        columns += np.unique(place[(weights[a:b] != 0).any(axis=0)] // BLOCK).tolist()
        layer[4] = len(columns)
    return Layering(bounds, place, size, layers, np.array(columns, np.int32))


def _neighbours_before(weights: NDArray[Any]) -> NDArray[np.int64]:
    """int64[N]: the last neuron before each with a weight onto it; -1: none."""
    neurons = len(weights)
    found = np.empty(neurons, np.int64)
    step = max(1, _ROWS // neurons)
    for start in range(0, neurons, step):
        stop = min(start + step, neurons)
        there = np.tril(weights[start:stop] != 0, start - 1)[:, ::-1]
        found[start:stop] = np.where(there.any(1), neurons - 1 - there.argmax(1), -1)
    return found
