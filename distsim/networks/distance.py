"""Strata of a Gaussian kernel of distance, on a ring of neurons or a square grid, both periodic.

The cells around a neuron, itself among them, have probabilities as exp(-d^2 / 2 width^2), d in
neurons, the images of a period summed; in their order they fall into k strata of equal probability,
but for half of that of a cell. No stratum is without a cell, so that k targets are distinct.

All is integers made of correctly rounded operations: the same on every machine.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError

_LN2, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_FAR = 7  # widths, beyond which there is nothing: 10^-11 of a law
_ONE = 1 << 38  # of the nearest cell


class Strata(NamedTuple):
    """As `kernels.synapses.Rule` has them."""

    side: int
    bound: NDArray[np.int64]
    offset: NDArray[np.int32]
    limit: NDArray[np.uint32]

    @classmethod
    def none(cls) -> Strata:
        return cls(0, np.empty(0, np.int64), np.empty((0, 2), np.int32), np.empty(0, np.uint32))


def ring(place: str, neurons: int, width: float, synapses: int) -> Strata:
    """Of a ring. place: what names the width in messages. Raises InputError."""
    offset, chance = _line(place, neurons, width)
    return _strata(place, width, synapses, 0, (offset, np.zeros_like(offset)), chance)


def grid(place: str, side: int, width: float, synapses: int) -> Strata:
    """Of a grid of side x side neurons, neuron y side + x at (x, y). Raises InputError."""
    offset, chance = _line(place, side, width)
    y, x = (part.ravel() for part in np.meshgrid(offset, offset, indexing="ij"))
    both = np.multiply.outer(chance, chance).ravel()
    return _strata(place, width, synapses, side, (x, y), both)


def _line(place: str, period: int, width: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The offsets of cells on a line with a period, rising, and their chances, of about the
    nearest one's 1."""
    if not 0 < width <= period / 2:
        raise InputError(
            f"{place}: {width:g} given for a length of {period}; allowed: above 0, up to a half"
        )
    reach = math.ceil(_FAR * width)
    chance = _exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2.0 * width * width))
    if 2 * reach + 1 <= period:
        return np.arange(-reach, reach + 1), chance
    before = -(-(reach - period // 2) // period) * period + period // 2  # cells before offset 0
    folded = np.zeros((before + reach + period) // period * period)
    folded[before - reach : before + reach + 1] = chance
    total = np.zeros(period)
    for part in folded.reshape(-1, period):
        total += part
    return np.arange(period) - period // 2, total


def _strata(
    place: str,
    width: float,
    synapses: int,
    side: int,
    offset: tuple[NDArray[Any], NDArray[Any]],
    chance: NDArray[np.float64],
) -> Strata:
    weight = np.rint(chance * _ONE).astype(np.int64)
    kept = np.flatnonzero(weight)
    until = np.cumsum(weight[kept])
    total, largest = int(until[-1]), int(weight.max())
    if largest * synapses > total:
        near = synapses / math.sqrt(2 * math.pi)
        least = math.sqrt(synapses / (2 * math.pi)) if side else near
        raise InputError(
            f"{place}: {width:g} given for {synapses:,} synapses; allowed: {least:.3g} or so and "
            "more, so that no target is drawn twice"
        )
    # A cell is of the stratum that its middle is in.
    ends = np.array([2 * q * total // synapses for q in range(synapses + 1)], np.int64)
    bound = np.searchsorted(2 * until - weight[kept], ends, side="right").astype(np.int64)
    base = np.concatenate([[0], until])[bound]
    stratum = np.repeat(np.arange(synapses), np.diff(bound))
    share = (until - base[stratum]) / np.diff(base)[stratum]
    limit = (np.clip(np.rint(share * 2.0**32), 1, 2.0**32) - 1).astype(np.uint32)
    cells = np.stack([one[kept] for one in offset], axis=1).astype(np.int32)
    return Strata(side, bound, cells, limit)


def _exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(x) of numbers from -30 to 0, by operations that are rounded correctly."""
    power = np.rint(x / _LN2)
    rest = (x - power * _LN2) - power * _LN2_LOW
    result = np.ones_like(x)
    for k in range(14, 0, -1):
        result = 1.0 + result * rest / k
    return np.ldexp(result, power.astype(np.int64))
