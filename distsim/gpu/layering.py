"""Layers of a BM: neurons one after the other without weights among themselves. No CuPy.

A scan that visits neurons in their order decides those of a layer as if at once: none tells on
another. An RBM has two layers; W says which, nobody has to.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.gpu.variants import BLOCK

NOBODY = -(2.0**28)  # the rest, in single precision, of a place without a neuron: it stays at 0


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
