"""All weights of a rank on its GPU: `weights.storage.Storage`, and what the kernels take."""

from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.capacity import stride
from distsim.gpu.compiler import compile_module
from distsim.gpu.driver import multiprocessors
from distsim.gpu.layout import STORE_LINES, STORE_TILE
from distsim.kernels.gaussian import Formula

_BLOCKS, _THREADS = 16, 256  # a multiprocessor, of a kernel that makes weights: to hide its latency
_ROWS = 128  # threads, each with a row, of the kernels that go through all columns
_COUNTED = 1 << 24  # weights at a time whose zeros are looked for
_TOGETHER = 1024  # columns of a product of many states
_PARTS = 64  # into which these cut the columns


class DeviceColumns:
    """Column j at columns[j * stride], int8/16/32; zeros follow its n weights."""

    name = "dense"

    def __init__(self, neurons: int, size: int, bits: int) -> None:
        self.neurons, self.size, self.bits = neurons, size, bits
        self.stride = stride(size, bits)
        self.bytes = neurons * self.stride * bits // 8
        self._memory: Any = cupy.cuda.Memory(self.bytes)  # of its own: no pool rounds it up
        self.pointer: int = self._memory.ptr
        cupy.cuda.runtime.memset(self.pointer, 0, self.bytes)
        self._module = compile_module("dense.cu", WEIGHT_BITS=bits)

    def release(self) -> None:
        """Give the memory back, which no kernel uses any more."""
        self._memory = None

    def array(self) -> Any:
        """All columns as one array."""
        memory = cupy.cuda.MemoryPointer(self._memory, 0)
        return cupy.ndarray((self.neurons, self.stride), f"int{self.bits}", memory)

    def store_rows(self, rows: NDArray[Any], start: int) -> None:
        count = rows.shape[0]
        pinned = cupy.cuda.alloc_pinned_memory(rows.nbytes)
        tile: NDArray[Any] = np.frombuffer(pinned, rows.dtype, rows.size).reshape(rows.shape)
        tile[:] = rows
        there = cupy.asarray(tile)
        self._launch(
            "store_rows", (-(-self.neurons // STORE_TILE), -(-count // STORE_TILE)),
            (STORE_TILE, STORE_LINES), there, np.uint64(self.pointer), np.int64(count),
            np.int64(self.neurons), np.int64(start), np.int64(self.stride),
        )  # fmt: skip
        cupy.cuda.get_current_stream().synchronize()

    def generate(self, formula: Formula, first: int, unit: float) -> None:
        if self.size:
            self._maker = compile_module("gaussian.cu", WEIGHT_BITS=self.bits)
            self._maker.get_function("fill_gaussian")(
                (multiprocessors() * _BLOCKS,),
                (_THREADS,),
                (
                    np.uint64(formula.seed), np.int64(first), np.float64(formula.scale),
                    np.float64(unit), np.int32(formula.symmetric), np.uint64(self.pointer),
                    np.int64(self.neurons), np.int64(self.size), np.int64(self.stride),
                ),
            )  # fmt: skip

    def magnitudes(self) -> tuple[NDArray[np.int64], float]:
        sums, squares = cupy.zeros(self.size, cupy.uint64), cupy.zeros(self.size)
        self._by_rows("magnitudes", sums, squares)
        return sums.get().astype(np.int64), float(squares.sum())

    def degrees(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        onto = cupy.zeros(self.size, cupy.int64)
        out = cupy.zeros(self.neurons, cupy.int64)
        step = max(1, _COUNTED // self.stride)
        for start in range(0, self.neurons, step):
            there = self.array()[start : start + step, : self.size] != 0
            onto += there.sum(axis=0)
            out[start : start + step] = there.sum(axis=1)
        return onto.get(), out.get()

    def multiply(self, states: NDArray[np.uint8], z: NDArray[Any]) -> None:
        sums = cupy.zeros(self.size, cupy.uint64)
        self._by_rows("multiply", cupy.asarray(states), sums)
        z += sums.get().view(np.int64).astype(z.dtype)

    def products(self, states: NDArray[np.uint8]) -> NDArray[np.int64]:
        """W x of each row of states, uint8[R, N], all neurons being local: int64[R, N], below
        2^53."""
        x = cupy.asarray(states).astype(np.float64)
        z = cupy.zeros(x.shape)
        for start in range(0, self.neurons, _TOGETHER):
            columns = self.array()[start : start + _TOGETHER, : self.size].astype(np.float64)
            z += x[:, start : start + _TOGETHER] @ columns
        return z.astype(np.int64).get()  # type: ignore[no-any-return]

    def digest(self, first: int) -> int:
        total = cupy.zeros(1, cupy.uint64)
        self._by_rows("weights_digest", total, np.int64(first))
        return int(total[0])

    def _by_rows(self, name: str, *given: Any) -> None:
        """Launch a kernel of (columns, given, N, n, stride): a thread a row and part of it."""
        if self.size:
            grid = -(-self.size // _ROWS), min(_PARTS, self.neurons)
            shape = np.int64(self.neurons), np.int64(self.size), np.int64(self.stride)
            self._launch(name, grid, (_ROWS,), np.uint64(self.pointer), *given, *shape)

    def _launch(
        self, name: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any
    ) -> None:
        self._module.get_function(name)(grid, block, given)
