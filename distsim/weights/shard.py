"""The rows of W that one rank owns, as integers.

    W[i, j] ~ integer * unit,   unit a power of two,   |integer| < 2^(bits - 1)

Sums of such integers are exact in any order.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.kernels.observe import REST_BITS
from distsim.kernels.synapses import Synapses
from distsim.ranks import partition
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.recording import digest
from distsim.recording.observation import Start
from distsim.weights.source import Network
from distsim.weights.sparse import Parts, Rows
from distsim.weights.storage import Storage

_TILE = 1 << 20  # elements of W read at a time
_ENTRIES = 1 << 17  # and of sparse ones

AnyStorage = TypeVar("AnyStorage", bound=Storage, covariant=True)
Filled = TypeVar("Filled", bound=Storage)


@dataclass(frozen=True)
class Shard(Generic[AnyStorage]):
    """One rank's part of a network.

    neurons: N; first: global index of the first of the n local neurons; unit: the power of two
    that a weight of 1 stands for; storage: the integers; bias: int64[n], in units, rounded; rest:
    float64[n], what rounding left of the bias, in [-1/2, 1/2]; kind: int32 or int64, the integer
    of z; reach: a bound on |z|, in units; strength: mean |W| over all N^2 weights; spread: root
    mean square of this rank's weights, in units; connections: how many of all weights are not zero
    as integers; unconnected: how many neurons have none of them.
    """

    neurons: int
    first: int
    unit: float
    storage: AnyStorage
    bias: NDArray[np.int64]
    rest: NDArray[np.float64]
    kind: type[np.int32] | type[np.int64]
    reach: float
    strength: float
    spread: float
    connections: int
    unconnected: int

    @property
    def size(self) -> int:
        """n, how many neurons this rank owns."""
        return self.bias.size

    def responses(self, states: NDArray[np.uint8]) -> NDArray[Any]:
        """W x with the integer part of the bias, int[n], for the states of all neurons."""
        z = self.bias.astype(self.kind)
        self.storage.multiply(states, z)
        return z

    def start(self, states: NDArray[np.uint8], ranks: Communicator) -> Start:
        """What observables start from, for the states of all neurons, uint8[N]. Raises InputError
        on every rank alike if energies may be too large for exact sums."""
        self.check_energies("observe")
        own = states[self.first : self.first + self.size] == 1
        z = self.responses(states)[own].astype(np.int64)
        doubled = -int((z + self.bias[own]).sum())
        rests = np.rint(self.rest * 2.0**REST_BITS).astype(np.int64)
        of_ranks = ranks.gather(rests.view(np.uint8)).view(np.int64)
        return Start(states, ranks.total(doubled), of_ranks)

    def check_energies(self, purpose: str) -> None:
        """Raise InputError, on every rank alike, if energies may be too large for exact sums."""
        if 2.0 * self.neurons * self.reach >= 2.0**62:
            raise InputError(
                f"{purpose}: energies may reach {self.neurons * self.reach:.3g} units of "
                f"{self.unit:.3g}; allowed for exact sums: less than 2^61; weights of fewer bits "
                "would do"
            )

    def energy(self, z: NDArray[Any], x: NDArray[np.uint8], ranks: Communicator) -> int:
        """E in 2^-REST_BITS weight units, an exact integer, for z: int[n] to which nothing
        is added, and states: uint8[n]. The same on every rank."""
        own = x == 1
        doubled = -int((z[own].astype(np.int64) + self.bias[own]).sum())
        rests = -int(np.rint(self.rest[own] * 2.0**REST_BITS).astype(np.int64).sum())
        return ranks.total((doubled << REST_BITS - 1) + rests)

    def digest(self, ranks: Communicator) -> str:
        """The digest of the network as integers: the same on any number of ranks."""
        part = self.storage.digest(self.first)
        part = (part + digest.of_biases(self.bias, self.rest, self.first)) % 2**64
        return f"{digest.text(ranks.total(part))}-{self.neurons}-{self.unit.hex()}"


def load(
    network: Network,
    bits: int,
    ranks: Communicator,
    kind: Callable[[int, int, int], AnyStorage],
    sparse: Callable[[AnyStorage, Parts], None] | None = None,
    made: Callable[[AnyStorage, Synapses, int, int, float], None] | None = None,
) -> Shard[AnyStorage]:
    """Read this rank's rows of a network and round them to integers of 8, 16 or 32 bits.

    kind: of N, n and bits, the storage that is to hold them; sparse: has it take what is not zero
    alone, of a network that gives its rows so; made: makes it in place, of a network whose synapses
    are a function, about so many, from the first neuron on, in a unit.
    Raises InputError, on every rank alike, for NaN or infinity, an unreadable file, or weights
    and biases too large for exact sums.
    """
    first = partition.start(ranks.rank, network.neurons, ranks.size)
    stop = partition.start(ranks.rank + 1, network.neurons, ranks.size)
    peak = agreed(ranks, lambda: network.peak(first, stop))
    unit = _unit(ranks.largest(peak), bits)
    storage = kind(network.neurons, stop - first, bits)
    agreed(ranks, lambda: _fill(network, first, unit, storage, sparse, made))
    absolute, squares = storage.magnitudes()

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
    connections, unconnected = _connections(storage, first, ranks)
    return Shard(
        neurons=network.neurons,
        first=first,
        unit=unit,
        storage=storage,
        bias=bias.astype(np.int64),
        rest=in_units - bias,
        kind=np.int32 if bits < 32 and reach < 2.0**30 else np.int64,
        reach=reach,
        strength=ranks.total(int(absolute.sum(dtype=object))) * unit / network.neurons**2,
        spread=math.sqrt(squares / max(1, network.neurons * (stop - first))),
        connections=connections,
        unconnected=unconnected,
    )


def _connections(storage: Storage, first: int, ranks: Communicator) -> tuple[int, int]:
    """How many weights of all ranks are not zero, and how many neurons have none of them."""
    onto, out = storage.degrees()
    connected = out > 0
    connected[first : first + storage.size] |= onto > 0
    of_ranks = ranks.gather(connected.view(np.uint8)).reshape(-1, storage.neurons)
    return ranks.total(int(onto.sum())), int(storage.neurons - of_ranks.any(axis=0).sum())


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
    network: Network,
    first: int,
    unit: float,
    storage: Filled,
    sparse: Callable[[Filled, Parts], None] | None,
    made: Callable[[Filled, Synapses, int, int, float], None] | None,
) -> None:
    """Read rows in tiles, round, and store them; or have what is a function made in place."""
    entries = network.entries(first, first + storage.size)
    if made is not None and entries is not None and network.synapses is not None:
        made(storage, network.synapses, entries, first, unit)
        return
    if sparse is not None and entries is not None:
        step = max(1, _ENTRIES * storage.size // max(1, entries))
        sparse(storage, lambda: _parts(network, first, unit, storage, step))
        return
    if network.formula is not None:
        storage.generate(network.formula, first, unit)
        return
    stop = first + storage.size
    step = max(1, _TILE // network.neurons)
    for start in range(first, stop, step):
        rows = network.rows(start, min(stop, start + step))
        rows /= unit
        storage.store_rows(np.rint(rows, out=rows).astype(f"int{storage.bits}"), start - first)


def _parts(
    network: Network, first: int, unit: float, storage: Storage, step: int
) -> Iterator[Rows]:
    """Sparse rows, so many at a time, rounded."""
    for start in range(first, first + storage.size, step):
        rows = network.sparse_rows(start, min(start + step, first + storage.size))
        assert rows is not None
        row, source, weights = rows
        weights /= unit
        whole = np.rint(weights, out=weights).astype(f"int{storage.bits}")
        yield Rows(start - first, row, source, whole)
