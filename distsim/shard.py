"""The rows of W that one rank owns, as integers, column by column.

    W[i, j] ~ weights[j, i] * unit,   unit a power of two,   |weights| < 2^(bits - 1)

A shard holds weights: int[N, n] for the n neurons from `first` on, so that an event of neuron j
reads one contiguous column (zeros may follow it). Sums of such integers are exact in any order.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim import digest, partition
from distsim.communicator import Communicator, agreed
from distsim.errors import InputError
from distsim.network import Gaussian, Network

_TILE = 1 << 20  # elements of W read at a time


@dataclass(frozen=True)
class Shard:
    """One rank's part of a network.

    neurons: N; first: global index of the first of the n local neurons; unit: the power of two
    that a weight of 1 stands for; weights: int8/16/32[N, n], on the host or as the kernels of a
    device hold them; bias: int64[n], in units, rounded; rest: float64[n], what rounding left of
    the bias, in [-1/2, 1/2]; kind: int32 or int64, the integer of z; reach: a bound on |z|, in
    units; strength: mean |W| over all N^2 weights; spread: root mean square of this rank's
    weights, in units.
    """

    neurons: int
    first: int
    unit: float
    weights: Any
    bias: NDArray[np.int64]
    rest: NDArray[np.float64]
    kind: type[np.int32] | type[np.int64]
    reach: float
    strength: float
    spread: float

    @property
    def size(self) -> int:
        """How many neurons this rank owns."""
        return self.bias.size


def load(network: Network, bits: int, ranks: Communicator, kernels: Any) -> Shard:
    """Read this rank's rows of a network and round them to integers of 8, 16 or 32 bits.

    `kernels` (cpu or cuda) says where they are kept.
    Raises InputError, on every rank alike, for NaN or infinity, an unreadable file, or weights
    and biases too large for exact sums.
    """
    first = partition.start(ranks.rank, network.neurons, ranks.size)
    stop = partition.start(ranks.rank + 1, network.neurons, ranks.size)
    peak = agreed(ranks, lambda: network.peak(first, stop))
    unit = _unit(ranks.largest(peak), bits)
    weights = kernels.columns(network.neurons, stop - first, bits)
    agreed(ranks, lambda: _fill(network, first, stop, unit, bits, weights, kernels))
    absolute = np.zeros(stop - first, np.int64)
    squares = kernels.magnitudes(weights, absolute)

    with np.errstate(over="ignore"):  # what overflows is refused below
        in_units = network.bias[first:stop] / unit
    largest = int(absolute.max(initial=0))
    reach = ranks.largest(largest + float(np.abs(in_units).max(initial=0.0)))
    if reach >= 2.0**61:
        raise InputError(
            f"weights and biases of {network.name} are too large for exact sums: a linear response "
            f"may reach {reach:.3g} units of {unit:.3g}, allowed are less than 2^61; "
            "the biases are too large beside the weights"
        )
    bias = np.rint(in_units)
    return Shard(
        neurons=network.neurons,
        first=first,
        unit=unit,
        weights=weights,
        bias=bias.astype(np.int64),
        rest=in_units - bias,
        kind=np.int32 if bits < 32 and reach < 2.0**30 else np.int64,
        reach=reach,
        strength=ranks.total(int(absolute.sum(dtype=object))) * unit / network.neurons**2,
        spread=math.sqrt(squares / max(1, network.neurons * (stop - first))),
    )


def network_digest(shard: Shard, ranks: Communicator, kernels: Any) -> str:
    """The digest of a network as integers: the same on any number of ranks."""
    part = int(kernels.weights_digest(shard.weights, shard.first))
    part = (part + digest.of_biases(shard.bias, shard.rest, shard.first)) % 2**64
    return f"{digest.text(ranks.total(part))}-{shard.neurons}-{shard.unit.hex()}"


def _unit(peak: float, bits: int) -> float:
    """The least power of two (normal) that brings the largest weight under 2^(bits - 1)."""
    if peak == 0.0:
        return 1.0
    largest = 2 ** (bits - 1) - 1
    exponent = math.frexp(peak / largest)[1] - 1
    if math.ldexp(float(largest), exponent) < peak:
        exponent += 1
    return math.ldexp(1.0, max(exponent, -1000))


def _fill(
    network: Network, first: int, stop: int, unit: float, bits: int, weights: Any, kernels: Any
) -> None:
    """Read rows in tiles, round, and store them as columns; or generate them in place."""
    if isinstance(network, Gaussian):
        kernels.fill_gaussian(
            network.seed, first, stop, network.scale, unit, network.symmetric, weights
        )
        return
    step = max(1, _TILE // network.neurons)
    for start in range(first, stop, step):
        rows = network.rows(start, min(stop, start + step))
        rows /= unit
        kernels.store_rows(np.rint(rows, out=rows).astype(f"int{bits}"), start - first, weights)
