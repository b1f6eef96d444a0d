"""All weights of a rank in this process's memory, column by column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.kernels import apply, dense
from distsim.kernels.apply import Marks
from distsim.kernels.gaussian import Formula, fill_gaussian
from distsim.kernels.replay import Bounds


class DenseColumns:
    """Holds `storage.HostStorage`: columns: int8/16/32[N, n], column j at columns[j].

    An event of neuron j reads one contiguous column; a few zeros may follow its n weights.
    """

    name = "dense"

    def __init__(self, neurons: int, size: int, bits: int) -> None:
        self.neurons, self.size, self.bits = neurons, size, bits
        self.columns = dense.make_columns(neurons, size, bits)

    @property
    def bytes(self) -> int:
        return int(self.columns.nbytes)

    def store_rows(self, rows: NDArray[Any], start: int) -> None:
        self.columns[:, start : start + len(rows)] = rows.T

    def generate(self, formula: Formula, first: int, unit: float) -> None:
        fill_gaussian(formula, first, first + self.size, unit, self.columns)

    def magnitudes(self) -> tuple[NDArray[np.int64], float]:
        absolute = np.zeros(self.size, np.int64)
        squares = dense.magnitudes(self.columns, absolute)
        return absolute, float(squares)

    def degrees(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        onto, out = np.zeros(self.size, np.int64), np.zeros(self.neurons, np.int64)
        dense.degrees(self.columns, onto, out)
        return onto, out

    def multiply(self, states: NDArray[np.uint8], z: NDArray[Any]) -> None:
        dense.multiply(self.columns, states, z)

    def digest(self, first: int) -> int:
        return int(dense.digest(self.columns, first))

    def diagonal(self, first: int) -> NDArray[Any]:
        local = np.arange(self.size)
        diagonal: NDArray[Any] = self.columns[first + local, local]
        return diagonal

    def accumulate(self, events: NDArray[np.uint64], z: NDArray[Any]) -> None:
        apply.accumulate(self.columns, events, z)

    def apply(
        self,
        z: NDArray[Any],
        end: NDArray[Any],
        bounds: Bounds,
        slots: NDArray[Any],
        marks: Marks,
        first: int,
    ) -> None:
        apply.apply(self.columns, z, end, tuple(bounds), slots, tuple(marks), first)

    def adjust(
        self,
        before: NDArray[np.uint64],
        after: NDArray[np.uint64],
        most: int,
        end: NDArray[Any],
        bounds: Bounds,
    ) -> NDArray[np.uint64]:
        changes: NDArray[np.uint64] = apply.adjust(
            self.columns, before, after, most, end, tuple(bounds)
        )
        return changes
