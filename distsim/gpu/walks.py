"""Many chains of one McCulloch-Pitts machine on this rank's GPU: a block of threads walks a chain.

The stream of each is that of the CPU's chain of its replica. Kernels: `kernels/walks.cu`.
"""

from typing import Any, NamedTuple

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.compiler import compile_module
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import multiprocessors, shared_memory
from distsim.gpu.walk_shape import CHAIN, STARTERS, WARP, Given, walk_constants, walk_shape
from distsim.kernels.mcculloch_pitts import lowest_levels
from distsim.kernels.window import END_OF_TIME, margin_of

_ROOMS = 4  # tickets in global memory at first, in those in shared memory
_UNLIMITED = (1 << 63) - 1


class Clocks(NamedTuple):
    """`window.Clock` of each chain: number, exponent: int64[R]; high, low: float64[R]; started:
    bool[R], False before the first window, whose exponent the rule makes."""

    number: NDArray[np.int64]
    exponent: NDArray[np.int64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    started: NDArray[np.bool_]


def at_start(chains: int) -> Clocks:
    """The clocks of chains before their first windows."""
    none, zero = np.zeros(chains, np.int64), np.zeros(chains)
    return Clocks(none, none.copy(), zero, zero.copy(), np.zeros(chains, np.bool_))


def upload(columns: NDArray[Any]) -> DeviceColumns:
    """Weights int8/16/32[N, N or more], column j at columns[j], on this rank's GPU."""
    neurons = columns.shape[0]
    there = DeviceColumns(neurons, neurons, 8 * columns.itemsize)
    there.array()[:, :neurons] = cupy.asarray(columns[:, :neurons])
    return there


class Walks:
    """R chains, each at the start of a window."""

    def __init__(
        self,
        weights: DeviceColumns,
        *,
        bias: NDArray[np.int64],
        rest: NDArray[np.float64],
        kind: type[np.int32] | type[np.int64],
        spread: float,
        seed: int,
        replicas: NDArray[np.int64],
        states: NDArray[np.uint8],
        scales: NDArray[np.float64],
        targets: NDArray[np.int64],
        clocks: Clocks,
        clamped: NDArray[np.bool_] | None = None,
    ) -> None:
        """bias: int64[N], in weight units, with what a stimulus adds; rest: float64[N], what
        rounding left of it, in [-1, 1]; kind, spread: as of `weights.shard.Shard`; replicas:
        int64[R]; states: uint8[R, N]; scales: float64[R], 2 tau in weight units; targets: int64[R],
        events a window that are aimed at; clamped: bool[N], or bool[R, N].

        Raises ValueError for more neurons than a chain may have.
        """
        self.weights = weights
        self.neurons, self.size = weights.neurons, len(replicas)
        bits, z_bits = weights.bits, 8 * np.dtype(kind).itemsize
        self.shape = walk_shape(
            self.neurons, bits, z_bits, target=int(targets.max()), chains=self.size,
            multiprocessors=multiprocessors(), shared=shared_memory(),
        )  # fmt: skip
        self._spread = spread
        self._kind: np.dtype[Any] = np.dtype(kind)
        constants = walk_constants(self.shape, self.neurons, bits, z_bits)
        self._shared = constants["SHARED_BYTES"]
        self._module = compile_module("walks.cu", **constants)
        self._arrays: dict[str, Any] = {}  # on the device, by the name of their pointer
        self._given = Given(
            weights=weights.pointer, column_stride=weights.stride,
            stride=-(-self.neurons // WARP) * WARP, seed=seed,
        )  # fmt: skip
        self._chains = np.zeros(self.size, CHAIN)
        self._chains["replica"] = replicas
        for name, values in clocks._asdict().items():
            self._chains[name] = values
        self.temper(scales, targets)
        try:
            self._reserve_chains(np.atleast_2d(states), clamped)
            self._reserve(_ROOMS * self.shape.room)
            self.drive(bias, rest)
        except BaseException:
            self.release()  # what holds the error holds this object too
            raise

    def _reserve_chains(
        self,
        states: NDArray[np.uint8],
        clamped: NDArray[np.bool_] | None,
    ) -> None:
        """Memory of the chains; their states are there."""
        n, stride = self.neurons, self._given.stride
        x = np.zeros((self.size, stride), np.uint8)
        x[:, :n] = states
        held = np.atleast_2d(np.zeros(n, np.bool_) if clamped is None else clamped)
        beyond = 1 << (8 * self._kind.itemsize - 2)
        self._given.held_stride = n if held.shape[0] > 1 else 0
        self._bind("x", cupy.asarray(x))
        self._bind("z", cupy.zeros((self.size, stride), self._kind))
        self._bind("bound", cupy.full((self.size, stride), beyond, self._kind))
        if not self.shape.bases:
            self._bind("bases", cupy.zeros((self.size, stride), self._kind))
        self._bind("levels", cupy.asarray(lowest_levels()))
        self._bind("held", cupy.asarray(held.astype(np.uint8)))
        self._bind("chains", cupy.asarray(self._chains.view(np.uint8)))

    def _bind(self, name: str, array: Any) -> None:
        """Hold an array whose pointer the kernels know by this name."""
        self._arrays[name] = array
        setattr(self._given, name, array.data.ptr)

    def _reserve(self, room: int) -> None:
        """Room for the tickets of each chain's window where those of shared memory do not do."""
        for name, words in (("tickets", 3), ("order", 1), ("parts", 1)):
            self._arrays.pop(name, None)
            kind = np.uint64 if name == "tickets" else np.uint32
            self._bind(name, cupy.zeros((self.size, room * words), kind))
        self._given.room = room

    def _launch(self, name: str, threads: int, shared: int, *more: Any) -> None:
        function = self._module.get_function(name)
        if shared:
            function.max_dynamic_shared_size_bytes = shared
            function.preferred_shared_memory_carveout = 100  # all chains at once that fit
        given = cupy.asarray(np.frombuffer(bytes(self._given), np.uint64))
        function((self.size,), (threads,), (given, *more), shared_mem=shared)

    # ---------------------------------------------------------------------------------- moving
    def go_on(
        self,
        transitions: NDArray[np.int64],
        totals: NDArray[np.uint64],
        last: NDArray[np.float64],
    ) -> None:
        """After so many events of an earlier run, with this part of the digest, the last of which
        were at these times; all [R]."""
        chains = self._chains
        chains["transitions"], chains["total"], chains["last"] = transitions, totals, last

    def temper(self, scales: NDArray[np.float64], targets: NDArray[np.int64]) -> None:
        """Have these temperatures and targets from the next window on."""
        chains = self._chains
        chains["scale"], chains["target"] = scales, targets
        chains["per_neuron"] = [
            target.bit_length() - self.neurons.bit_length() for target in targets.tolist()
        ]
        pairs = list(zip(targets.tolist(), scales.tolist(), strict=True))
        margins = {pair: margin_of(self._spread, *pair) for pair in set(pairs)}
        chains["margin"] = [margins[pair] for pair in pairs]

    def drive(self, bias: NDArray[np.int64], rest: NDArray[np.float64]) -> None:
        """Have these biases from the next window on, as `__init__` takes them."""
        self._bind("rest", cupy.asarray(rest))
        self._launch("begin_chains", STARTERS, 0, cupy.asarray(bias))

    def advance(
        self,
        goal: NDArray[np.int64],
        until: NDArray[np.float64],
        change: NDArray[np.float64] | None = None,
        windows: int = _UNLIMITED,
    ) -> None:
        """Walk through whole windows: of each chain as many as end with `goal` transitions in all
        or less, int64[R], and have no event after `until`, float64[R]; none starts at or after
        `until`. So what a run still wants then is in the next window.

        change: float64[R], when conditions change next (inf: never): a window ends there, and none
        starts there; windows: at most.
        """
        chains = self._chains
        chains["goal"] = goal
        chains["until"] = np.minimum(until, END_OF_TIME)
        chains["change"] = np.inf if change is None else change
        chains["windows"] = windows
        while True:
            there = self._arrays["chains"]
            there.set(chains.view(np.uint8))
            self._launch("walk_chains", WARP * self.shape.warps, self._shared)
            chains[:] = there.get().view(CHAIN)
            room = int(chains["room"].max(initial=0))
            if room == 0:
                return
            chains["room"] = 0
            self._reserve(room)

    # --------------------------------------------------------------------------------- the state
    def states(self) -> NDArray[np.uint8]:
        """uint8[R, N]"""
        x: NDArray[np.uint8] = self._arrays["x"].get()[:, : self.neurons]
        return x

    def responses(self) -> NDArray[Any]:
        """z: int[R, N]"""
        z: NDArray[Any] = self._arrays["z"].get()[:, : self.neurons]
        return z

    def clocks(self) -> Clocks:
        number, exponent, high, low, started = (
            self._chains[name].copy() for name in Clocks._fields
        )
        return Clocks(number, exponent, high, low, started.astype(np.bool_))

    def transitions(self) -> NDArray[np.uint64]:
        """uint64[R], in all."""
        made: NDArray[np.uint64] = self._chains["transitions"].astype(np.uint64)
        return made

    def totals(self) -> NDArray[np.uint64]:
        """uint64[R]: the events' part of the digest of each (`recording/digest.py`)."""
        total: NDArray[np.uint64] = self._chains["total"].copy()
        return total

    def last(self) -> NDArray[np.float64]:
        """float64[R]: time of the last event."""
        last: NDArray[np.float64] = self._chains["last"].copy()
        return last

    def release(self) -> None:
        """Give all memory back, which no kernel uses any more; the weights stay."""
        self._arrays.clear()
