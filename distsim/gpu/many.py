"""Many chains of a BM that share W on a rank's GPU: the contract, and the memory of all algorithms.

Sequential scan; at first each chain stands where a sweep begins. They are made of

    weights     int8 or int16[N, N], symmetric, without diagonal, on the host or the device
    bias, rest  int64[N] in weight units, and float64[N], what is left of it, in [-1, 1]
    seed, replicas: int64[R]
    states      uint8[R, N]
    clamped     bool[R, N] or bool[N], neurons that stay as they are; or None
    energies    whether to keep how 2 E changes
    digest      whether to keep the events' part of the digests; without, `totals` are 0

Linear responses stay below REACH in magnitude.

| member | meaning |
|---|---|
| go_on(made, totals, last) | after transitions of an earlier run: int64[R], uint64[R], float64[R] |
| advance(sweep, scales) | S whole sweeps from number `sweep` on; T in weight units, [S] or [S, R] |
| states() | uint8[R, N] |
| transitions() | uint64[R]: flips so far |
| totals() | uint64[R]: the events' part of the digest (recording/digest.py) of each chain |
| last() | float64[R]: the time of the last event, 0 if there is none |
| doubled() | int64[R]: by how much 2 E has changed, in weight units, if energies were asked for |
| energies() | int64[S, R]: the same at the end of each sweep of the last `advance` |
| release() | give the memory back |
"""

from typing import Any, Protocol

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.layering import NOBODY
from distsim.kernels.philox import REPLICA_SHIFT

REACH = 2**29  # of linear responses, in weight units


class ManyChains(Protocol):
    def go_on(
        self, made: NDArray[np.int64], totals: NDArray[np.uint64], last: NDArray[np.float64]
    ) -> None: ...

    def advance(self, sweep: int, scales: NDArray[np.float64]) -> None: ...

    def states(self) -> NDArray[np.uint8]: ...

    def transitions(self) -> NDArray[np.uint64]: ...

    def totals(self) -> NDArray[np.uint64]: ...

    def last(self) -> NDArray[np.float64]: ...

    def doubled(self) -> NDArray[np.int64]: ...

    def energies(self) -> NDArray[np.int64]: ...

    def release(self) -> None: ...


def planes_of(rows: Any) -> list[Any]:
    """uint8 on the device: int8 as it is; of int16 the high bytes (signed) and the low ones."""
    if rows.dtype == np.int8:
        return [rows.view(cupy.uint8)]
    return [(rows >> 8).astype(cupy.int8).view(cupy.uint8), (rows & 255).astype(cupy.uint8)]


def tiles_of(plane: Any) -> Any:
    """A plane, uint8[P, Q], in the order of kernels/tiles.cuh; P, Q: multiples of 32 and 64."""
    rows, columns = plane.shape
    cut = plane.reshape(rows // 32, 8, 2, 2, columns // 64, 4, 2, 2, 4)  # g, m, j and t, k, half
    return cupy.ascontiguousarray(cut.transpose(0, 4, 2, 6, 1, 5, 7, 3, 8)).reshape(-1)


def diagonals_of(plane: Any) -> Any:
    """The blocks of 64 of a plane, uint8[P, P], among themselves: uint8[P / 64 * 64 * 64]."""
    blocks = len(plane) // 64
    which = cupy.arange(blocks)
    own = plane.reshape(blocks, 64, blocks, 64)[which, :, which, :]
    return cupy.ascontiguousarray(own).reshape(-1)


class Memory:
    """What chains have on the GPU: R padded to a multiple of `together`, neurons to places.

    place: int64[N], where neuron i is, in [0, size).
    """

    def __init__(
        self,
        bias: NDArray[np.int64],
        rest: NDArray[np.float64],
        seed: int,
        replicas: NDArray[np.int64],
        states: NDArray[np.uint8],
        clamped: NDArray[np.bool_] | None,
        *,
        together: int,
        size: int,
        place: NDArray[np.int64],
    ) -> None:
        self.seed, self.neurons, self.count = seed, bias.size, replicas.size
        self.size, self.place = size, place
        self.chains = -(-self.count // together) * together
        self.names = cupy.asarray(self._padded(replicas.astype(np.uint64) << REPLICA_SHIFT))
        exact, rough = np.full(size, -np.inf), np.full(size, NOBODY, np.float32)
        exact[place] = rough[place] = rest
        self.rest, self.rests = cupy.asarray(exact), cupy.asarray(rough)
        twice = np.zeros(size, np.int32)
        twice[place] = 2 * bias
        self.biases = cupy.asarray(twice)
        self.x = cupy.zeros((self.chains, size), cupy.uint8)
        self.x[: self.count, cupy.asarray(place)] = cupy.asarray(states)
        self.clamps = cupy.asarray(self._clamps(clamped))
        self.counts, self.digests, self.steps = (
            cupy.zeros(self.chains, cupy.uint64) for _ in range(3)
        )
        self.change = cupy.zeros(self.chains, cupy.int64)
        self._kept: Any = None  # of energies, at the end of each sweep of the last `advance`

    def _padded(self, values: NDArray[Any]) -> NDArray[Any]:
        padded = np.zeros((self.chains, *values.shape[1:]), values.dtype)
        padded[: self.count] = values
        return padded

    def _clamps(self, clamped: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
        """Four neurons a byte, uint8[chains, size / 4]; uint8[0] without clamps."""
        if clamped is None:
            return np.zeros(0, np.uint8)
        bits = np.zeros((self.count, self.size), np.uint8)
        bits[:, self.place] = clamped
        fours = (bits.reshape(self.count, -1, 4) << np.arange(4, dtype=np.uint8)).sum(-1)
        return self._padded(fours.astype(np.uint8))

    def heats(self, scales: NDArray[np.float64]) -> tuple[Any, int, int]:
        """float64 on the device, and how far apart sweeps are, and chains."""
        if scales.ndim == 1:
            return cupy.asarray(scales), 1, 0
        padded = np.zeros((len(scales), self.chains))
        padded[:, : self.count] = scales
        return cupy.asarray(padded), self.chains, 1

    def go_on(
        self, made: NDArray[np.int64], totals: NDArray[np.uint64], last: NDArray[np.float64]
    ) -> None:
        for memory, given in ((self.counts, made), (self.digests, totals), (self.steps, last)):
            memory[: self.count] = cupy.asarray(given.astype(np.uint64))

    def states(self) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self.x[: self.count].get()[:, self.place]
        return found

    def transitions(self) -> NDArray[np.uint64]:
        found: NDArray[np.uint64] = self.counts[: self.count].get()
        return found

    def totals(self) -> NDArray[np.uint64]:
        found: NDArray[np.uint64] = self.digests[: self.count].get()
        return found

    def last(self) -> NDArray[np.float64]:
        steps: NDArray[np.uint64] = self.steps[: self.count].get()
        return steps.astype(np.float64)

    def doubled(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self.change[: self.count].get()
        return found

    def energies(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self._kept[:, : self.count].get()
        return found

    def release(self) -> None:
        """Give the memory back, which no kernel uses any more."""
        self.__dict__.clear()
