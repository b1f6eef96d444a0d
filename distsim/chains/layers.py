"""Chains of a BM side by side on one rank of a CPU, a layer of neurons at a time.

Where W couples no neurons of a layer, as in a restricted Boltzmann machine, z of a layer is one
product for all chains, by BLAS: integers below 2^24 in single precision, or 2^53 in double, so
that sums are exact. `kernels/layers.py` decides its visits. It holds `abreast.Abreast`; its streams
are those of any engine.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from distsim.chains.abreast import Heats, Pace, Standing, counts_of, held_in
from distsim.chains.chain import Position
from distsim.engines.timer import Timer
from distsim.errors import InputError
from distsim.kernels import layers as kernels
from distsim.kernels.layers import Chains, Events
from distsim.kernels.observe import Block
from distsim.kernels.philox import replica_bits
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.limits import amount
from distsim.weights.fitting import available
from distsim.weights.shard import Shard

# Below which sums of integers are exact.
_EXACT: dict[Any, float] = {np.float32: 2.0**24, np.float64: 2.0**53}
_EVENT = 25  # bytes
_BYTES = 1 << 26  # of the events of an `advance`; a sweep's may be more
# Where layers are faster (measured): neurons a layer, and chains side by side.
_NEURONS, _CHAINS = 64, 8


def lack(shard: Shard[Any], conditions: Sequence[Conditions]) -> str | None:
    """Why these chains cannot go on by layers, or None. All neurons are this rank's."""
    if shard.storage.name != "dense":
        return "sparse weights; allowed: dense ones (--storage dense)"
    if shard.reach >= _EXACT[np.float64]:
        return f"responses of up to {shard.reach:.3g} units; allowed: below 2^53"
    for one in conditions:
        if one.turns.size:
            return "a stimulus; allowed: without"
        if (one.times % shard.neurons).any():
            return "temperatures that change inside a sweep; allowed: between sweeps"
    return None


def faster(shard: Shard[Any], chains: int) -> bool:
    """Whether so many chains are faster by layers than one after the other."""
    if chains < _CHAINS or shard.storage.name != "dense":
        return False
    layers = kernels.bounds_of(shard.storage.columns).size - 1
    return bool(shard.neurons >= _NEURONS * layers)


def check_room(shard: Shard[Any], chains: int) -> None:
    """Refuse what takes more memory than there is: W, states, events of a sweep. Raises
    InputError."""
    real = np.dtype(_kind(shard)).itemsize
    wanted = real * shard.neurons**2 + chains * shard.neurons * (2 * real + _EVENT)
    free = available()
    if wanted > free:
        raise InputError(
            f"engine layers: {chains:,} chains of {shard.neurons:,} neurons given, "
            f"{amount(wanted)}; allowed: {amount(free)}, or --engine walk"
        )


def _kind(shard: Shard[Any]) -> Any:
    """The precision of products: a dtype of NumPy."""
    return next(kind for kind, limit in _EXACT.items() if shard.reach < limit)


class Layers:
    """`abreast.Abreast`: all chains of this rank, at a sweep's end."""

    engine = "layers"
    place = "cpu"

    def __init__(
        self,
        shard: Shard[Any],
        seed: int,
        replicas: Sequence[int],
        states: NDArray[np.uint8],
        conditions: Sequence[Conditions],
        positions: Sequence[Position],
        *,
        keeps: bool,
        exponent: int | None,
        timer: Timer,
        threads: int | None = None,
    ) -> None:
        """states: uint8[R, N]; conditions: of each; positions: where they stand, all at the end of
        one sweep, none at their starts; keeps: whether somebody wants the events; exponent: of
        their clocks, which stays; threads: of products; None: as many as BLAS takes.
        """
        self._kind = _kind(shard)
        _rehearse(self._kind)
        count, neurons = states.shape
        self.shard, self.timer = shard, timer
        self._sweep = 0  # so many are done
        self._seed = np.uint64(seed)
        self._heats = Heats(conditions, shard)
        self._pace = Pace()
        self._exponent = exponent
        self._keeps = keeps
        self._pool, self._threads = ThreadpoolController(), threads
        clamped = held_in(conditions, neurons)
        self._chains = Chains(
            x=states.astype(self._kind),
            replica=np.array([replica_bits(one) for one in replicas], np.int64),
            scale=np.empty(count),
            clamped=np.zeros((count, 0), np.bool_) if clamped is None else clamped,
            made=np.zeros(count, np.int64),
            last=np.zeros(count),
            total=np.zeros(count, np.uint64),
        )
        if positions:
            self._sweep = positions[0].clock.number // neurons
            self._chains.made[:], self._chains.total[:], self._chains.last[:] = counts_of(positions)
        self._open_layers()
        self._events = self._room(0)

    def _open_layers(self) -> None:
        """The layers, and the blocks of W that couple them: [of the other, of this one]."""
        columns = self.shard.storage.columns
        spans = list(pairwise(kernels.bounds_of(columns).tolist()))
        self._layers = []
        for a, b in spans:
            blocks = [
                (c, d, columns[c:d, a:b].astype(self._kind))
                for c, d in spans
                if columns[c:d, a:b].any()
            ]
            layer = kernels.make_layer(a, self.shard.bias[a:b], self.shard.rest[a:b], self._kind)
            z = np.zeros((len(self._chains.x), b - a), self._kind)
            self._layers.append((layer, blocks, z))

    def advance(self, limit: int | None, until: float | None) -> bool:
        """Whole sweeps of all chains."""
        begin = perf_counter()
        sweeps = min(self._pace.count, self._left(limit, until))
        if sweeps == 0:
            return False
        self.timer.start()
        if self._keeps:
            each = _EVENT * self._chains.x.size
            sweeps = max(1, min(sweeps, _BYTES // each))
            self._events = self._room(sweeps * self.shard.neurons)
        with self._pool.limit(limits=self._threads, user_api="blas"):
            for scale in self._heats.of(self._sweep, sweeps):
                self._chains.scale[:] = scale
                for layer, z in self._products():
                    kernels.visit(layer, self._seed, self._sweep, z, self._chains, self._events)
                    self.timer.stamp("visits")
                self._sweep += 1
        self._pace.took(perf_counter() - begin, sweeps)
        return True

    def _left(self, limit: int | None, until: float | None) -> int:
        """How many sweeps no chain ends in."""
        neurons = self.shard.neurons
        if until is not None:
            return int(until) // neurons - self._sweep
        assert limit is not None
        return int(limit - self._chains.made.max()) // neurons

    def _products(self) -> Any:
        """Each layer with its z, [R, n], when its turn has come."""
        x = self._chains.x
        for layer, blocks, z in self._layers:
            for k, (c, d, block) in enumerate(blocks):
                if k == 0:
                    np.matmul(x[:, c:d], block, out=z)
                else:
                    z += x[:, c:d] @ block
            self.timer.stamp("products")
            yield layer, z

    def transitions(self) -> NDArray[np.int64]:
        made: NDArray[np.int64] = self._chains.made
        return made

    def times(self) -> NDArray[np.float64]:
        return np.full(self._chains.made.size, float(self._sweep * self.shard.neurons))

    def standing(self, r: int) -> Standing:
        made, last, total = (column[r] for column in self._chains[-3:])
        step = self._sweep * self.shard.neurons
        clock = Clock(step, float(step), 0.0, self._exponent)
        return Standing(clock, self._sweep, int(made), float(last), int(total))

    def block(self, r: int) -> Block | None:
        """The events of the last `advance`, where they are kept."""
        if not self._keeps:
            return None
        *columns, count = self._events
        return Block._make(column[r, : count[r]] for column in columns)

    def states(self, r: int) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self._chains.x[r].astype(np.uint8)
        return found

    def consistent(self, r: int, final: NDArray[np.uint8]) -> bool:
        """Whether the products are exact, for these states."""
        x = final.astype(self._kind)
        wanted = self.shard.responses(final) - self.shard.bias
        return all(
            np.array_equal(
                sum((x[c:d] @ block for c, d, block in blocks), np.zeros(layer.neurons)),
                wanted[layer.first : layer.first + layer.neurons],
            )
            for layer, blocks, _ in self._layers
        )

    def close(self) -> None:
        """Nothing to give back."""

    def _room(self, events: int) -> Events:
        """For so many of each chain."""
        count = len(self._chains.x)
        shape = count, events
        return Events(
            np.empty(shape),
            np.empty(shape, np.int64),
            np.empty(shape, np.uint8),
            np.empty(shape, np.int64),
            np.zeros(count, np.int64),
        )


@functools.cache
def _rehearse(kind: Any) -> None:
    """Have the kernels compiled or loaded, so that a run's clock need not."""
    layer = kernels.make_layer(0, np.zeros(4, np.int64), np.zeros(4), kind)
    real, whole = np.zeros(1), np.zeros(1, np.int64)
    x = np.zeros((1, 4), kind)
    chains = Chains(
        x, whole, real, np.zeros((1, 0), np.bool_), whole, real.copy(), np.zeros(1, np.uint64)
    )
    none = np.empty((1, 0))
    events = Events(
        none, none.astype(np.int64), none.astype(np.uint8), none.astype(np.int64), whole.copy()
    )
    kernels.visit(layer, np.uint64(0), 0, x.copy(), chains, events)
