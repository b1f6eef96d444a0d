"""How a rank holds its rows of W: the contract of all storages, on any device.

    W[i, j] ~ integer * unit,   unit a power of two,   |integer| < 2^(bits - 1)

| member | meaning |
|---|---|
| name | `dense` or `sparse` |
| neurons, size | N; n, the local neurons, whose rows these are |
| bits, bytes | of a weight, 8, 16 or 32; of all of them in memory |
| store_rows(rows, start) | rows of integers, [count, N], of the local neurons from `start` on |
| generate(formula, first, unit) | all rows of a network that is a formula, n from `first` on |
| magnitudes() | int64[n], the sum of magnitudes of each row; the sum of all squares |
| degrees() | int64[n], how many weights of each row are not zero; int64[N], of each column |
| multiply(states, z) | z: int[n] += W x, for the states of all neurons, uint8[N] |
| digest(first) | the sum over i, j of W_ij a_i b_j modulo 2^64, a and b odd: equal on any split |

What an engine on the CPU needs besides (`HostStorage`), with events as in `kernels/events.py`:

| member | meaning |
|---|---|
| columns | what compiled loops reach W by: `kernels.columns` |
| diagonal(first) | int[n], W[i, i] |
| accumulate(events, z) | z += the columns of the events |
| apply(z, end, bounds, slots, marks, first) | the same into `end`, with bounds on the way |
| adjust(before, after, most, end, bounds) | `end` and its bounds from some events to others |

On GPUs the kernels of `kernels/dense.cuh` do these.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.apply import Marks
from distsim.kernels.gaussian import Formula
from distsim.kernels.replay import Bounds


class Storage(Protocol):
    name: str
    neurons: int
    size: int
    bits: int

    @property
    def bytes(self) -> int: ...

    def store_rows(self, rows: NDArray[Any], start: int) -> None: ...

    def generate(self, formula: Formula, first: int, unit: float) -> None: ...

    def magnitudes(self) -> tuple[NDArray[np.int64], float]: ...

    def degrees(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

    def multiply(self, states: NDArray[np.uint8], z: NDArray[Any]) -> None: ...

    def digest(self, first: int) -> int: ...


class HostStorage(Storage, Protocol):
    @property
    def columns(self) -> Any: ...

    def diagonal(self, first: int) -> NDArray[Any]: ...

    def accumulate(self, events: NDArray[np.uint64], z: NDArray[Any]) -> None: ...

    def apply(
        self,
        z: NDArray[Any],
        end: NDArray[Any],
        bounds: Bounds,
        slots: NDArray[Any],
        marks: Marks,
        first: int,
    ) -> None: ...

    def adjust(
        self,
        before: NDArray[np.uint64],
        after: NDArray[np.uint64],
        most: int,
        end: NDArray[Any],
        bounds: Bounds,
    ) -> NDArray[np.uint64]: ...


StorageKind: TypeAlias = Callable[[int, int, int], Storage]  # of N, n and bits
