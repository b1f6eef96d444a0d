"""The weights of a rank that are not zero, in this process's memory, column by column."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.kernels import sparse, sparse_apply, synapses
from distsim.kernels.apply import Marks
from distsim.kernels.gaussian import Formula, gaussian_rows
from distsim.kernels.replay import Bounds
from distsim.kernels.synapses import Synapses

_MADE = 1 << 20  # weights of a formula that are made at a time
_NARROW = 1 << 16  # neurons of a tile, up to which a target takes two bytes
# The neurons of a tile whose z is in the caches, and how many weights its parts of columns have at
# least: measured.
_TILES, _PART = tuple(1 << bits for bits in range(13, 17)), 24


class Rows(NamedTuple):
    """Rows of integers from local neuron `start` on: row: int64[rows + 1], where each begins;
    source: of each weight, rising in a row; weight: int8/16/32."""

    start: int
    row: NDArray[np.int64]
    source: NDArray[Any]
    weight: NDArray[Any]


Parts = Callable[[], Iterable[Rows]]  # that follow each other, as often as they are asked for


def tile_for(neurons: int, size: int, entries: int) -> int | None:
    """How many of `size` local neurons a tile has, where a BM visits them in turn; None: all, as
    columns of so many weights in all are too short for tiles, or z is."""
    for tile in _TILES:
        if tile < size and entries * tile >= _PART * neurons * size:
            return tile
    return None


class SparseColumns:
    """Holds `storage.HostStorage`: columns: `kernels.sparse.Columns`.

    An event of neuron j reads one column; of each weight 4 bytes of target, or 2 in tiles of up to
    65,536 neurons, and its own.
    """

    name = "sparse"

    def __init__(self, neurons: int, size: int, bits: int, tile: int | None = None) -> None:
        """tile: local neurons of a tile (`kernels.sparse`); None: of the only one."""
        self.neurons, self.size, self.bits = neurons, size, bits
        self._tile = max(1, size if tile is None else min(tile, size))
        self._columns: sparse.Columns | None = None
        self._parts: list[Rows] = []

    @property
    def columns(self) -> sparse.Columns:
        """Of rows that were stored as tiles: put together at the first use."""
        if self._columns is None:
            parts = sorted(self._parts, key=lambda part: part.start)
            self._parts = []
            self.store_sparse(lambda: parts)
        assert self._columns is not None
        return self._columns

    @property
    def bytes(self) -> int:
        start, target, weight, _ = self.columns
        return int(start.nbytes + target.nbytes + weight.nbytes)

    def store_rows(self, rows: NDArray[Any], start: int) -> None:
        k, source = rows.nonzero()
        row = np.searchsorted(k, np.arange(len(rows) + 1))
        self._parts.append(Rows(start, row, source.astype(np.uint32), rows[k, source]))

    def store_sparse(self, parts: Parts) -> None:
        """All rows, which are asked for twice."""
        start = self._starts()
        for part in parts():
            sparse.count(*part, self._tile, start)
        self._columns = self._room(start, sparse.open_columns(start))
        for part in parts():
            sparse.fill(*part, self._columns)

    def make(self, made: Synapses, entries: int, first: int, unit: float) -> None:
        """All rows, n from `first` on, in this unit, about so many weights. What of their room is
        not used is never touched: it takes no memory."""
        units = np.rint(made.values / unit).astype(np.int32)
        start = np.empty((1, self.neurons + 1), np.int64)
        one_tile = self._tile >= self.size
        narrow = one_tile and self._tile <= _NARROW
        room = entries
        while True:
            target = np.empty(room, np.uint16 if narrow else np.uint32)
            weight = np.empty(room, f"int{self.bits}")
            columns = sparse.Columns(start, target, weight, max(1, self.size))
            total = synapses.fill(made.rule, units, first, first + self.size, columns)
            if total <= room:
                break
            room = total
        whole = columns._replace(target=target[:total], weight=weight[:total])
        self._columns = whole if one_tile else self._cut(whole)

    def _cut(self, whole: sparse.Columns) -> sparse.Columns:
        """Columns of one tile in several."""
        start = self._starts()
        sparse.count_targets(whole, self._tile, start)
        columns = self._room(start, sparse.open_columns(start))
        sparse.cut(whole, columns)
        return columns

    def _starts(self) -> NDArray[np.int64]:
        """Of the columns of each tile, none of whose weights is counted yet."""
        return np.zeros((max(1, -(-self.size // self._tile)), self.neurons + 1), np.int64)

    def _room(self, start: NDArray[np.int64], weights: int) -> sparse.Columns:
        """For so many."""
        target = np.empty(weights, np.uint16 if self._tile <= _NARROW else np.uint32)
        return sparse.Columns(start, target, np.empty(weights, f"int{self.bits}"), self._tile)

    def generate(self, formula: Formula, first: int, unit: float) -> None:
        step = max(1, _MADE // self.neurons)
        for start in range(0, self.size, step):
            stop = min(start + step, self.size)
            rows = gaussian_rows(formula, first + start, first + stop, self.neurons)
            self.store_rows(np.rint(rows / unit).astype(f"int{self.bits}"), start)

    def magnitudes(self) -> tuple[NDArray[np.int64], float]:
        absolute = np.zeros(self.size, np.int64)
        squares = sparse.magnitudes(self.columns, absolute)
        return absolute, float(squares)

    def degrees(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        onto, out = np.empty(self.size, np.int64), np.empty(self.neurons, np.int64)
        sparse.degrees(self.columns, onto, out)
        return onto, out

    def multiply(self, states: NDArray[np.uint8], z: NDArray[Any]) -> None:
        sparse.multiply(self.columns, states, z)

    def digest(self, first: int) -> int:
        return int(sparse.digest(self.columns, first, self.size))

    def diagonal(self, first: int) -> NDArray[Any]:
        found = np.empty(self.size, f"int{self.bits}")
        sparse.diagonal(self.columns, first, found)
        return found

    def accumulate(self, events: NDArray[np.uint64], z: NDArray[Any]) -> None:
        sparse_apply.accumulate(self.columns, events, z)

    def apply(
        self,
        z: NDArray[Any],
        end: NDArray[Any],
        bounds: Bounds,
        slots: NDArray[Any],
        marks: Marks,
        first: int,
    ) -> None:
        sparse_apply.apply(self.columns, z, end, tuple(bounds), slots, tuple(marks), first)

    def adjust(
        self,
        before: NDArray[np.uint64],
        after: NDArray[np.uint64],
        most: int,
        end: NDArray[Any],
        bounds: Bounds,
    ) -> NDArray[np.uint64]:
        changes: NDArray[np.uint64] = sparse_apply.adjust(
            self.columns, before, after, most, end, tuple(bounds)
        )
        return changes
