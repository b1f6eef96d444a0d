"""Many chains of a large BM: block after block of a thousand neurons.

For each block one product of its rows of W with the states of all chains, by cuBLAS, then one pass
of `kernels/resident.cu` that decides it, which needs W of the block itself only.
"""

from typing import Any

import cupy
import numpy as np
from cupy.cuda import cublas
from numpy.typing import NDArray

from distsim.gpu.compiler import compile_module
from distsim.gpu.driver import multiprocessors
from distsim.gpu.many import Memory, diagonals_of, planes_of, tiles_of
from distsim.gpu.variants import Variant, choose

_FEW = 2048  # chains up to which blocks are twice as large: cuBLAS needs large products
_TOGETHER = 1024  # neurons of a block
_NONE = np.uint64(0)  # a pointer that is none
_ONE, _ZERO = np.ones(1, np.int32), np.zeros(1, np.int32)
_TRANSPOSED, _PLAIN, _INT8, _INT32, _BY_INT32, _DEFAULT = 1, 0, 3, 10, 72, -1  # of cuBLAS


class Blocks(Memory):
    """`many.ManyChains`."""

    def __init__(
        self,
        weights: NDArray[Any],
        bias: NDArray[np.int64],
        rest: NDArray[np.float64],
        seed: int,
        replicas: NDArray[np.int64],
        states: NDArray[np.uint8],
        clamped: NDArray[np.bool_] | None = None,
        *,
        energies: bool = False,
        digest: bool = True,
        variant: Variant | None = None,
    ) -> None:
        self._together = _TOGETHER * (2 if replicas.size <= _FEW else 1)
        neurons, planes = bias.size, weights.itemsize
        size = -(-neurons // self._together) * self._together
        chosen = variant or choose(
            replicas.size,
            self._together,
            planes,
            multiprocessors(),
            energies=energies,
            one_pass=True,
        )
        assert chosen is not None
        self._variant = chosen
        super().__init__(
            bias, rest, seed, replicas, states, clamped,
            together=chosen.chains, size=size, place=np.arange(neurons),
        )  # fmt: skip
        self._factors, self._planes = _signed(_padded(weights, size))
        self._tiles, self._diagonals = self._of_blocks(weights, size)
        self._handle = cublas.create()
        self._z = cupy.empty((self._together, self.chains), cupy.int32)
        self._energies = energies
        module = compile_module(
            "resident.cu",
            **chosen.constants(),
            PLANES=planes,
            PASS=1,
            ENERGIES=int(energies),
            DIGEST=int(digest),
            CLAMPED=int(clamped is not None),
        )
        self._kernel = module.get_function("sweep_chains")
        self._shared = chosen.shared(self._together, planes, energies=energies, one_pass=True)
        self._kernel.max_dynamic_shared_size_bytes = self._shared

    def _of_blocks(self, weights: NDArray[Any], size: int) -> tuple[list[Any], list[Any]]:
        """Of each block the weights among its neurons: tiles, and blocks of 64 among themselves."""
        tiles, diagonals = [], []
        for start in range(0, size, self._together):
            own = slice(start, start + self._together)
            parts = planes_of(_padded(weights[own, own], self._together))
            tiles.append(cupy.concatenate([tiles_of(part) for part in parts]))
            diagonals.append(cupy.concatenate([diagonals_of(part) for part in parts]))
        return tiles, diagonals

    def advance(self, sweep: int, scales: NDArray[np.float64]) -> None:
        heats, _, of_chain = self.heats(scales)
        rough = heats.astype(cupy.float32)
        sweeps = len(scales)
        if self._energies:
            self._kept = cupy.zeros((sweeps, self.chains), cupy.int64)
        for s in range(sweeps):
            for block in range(self.size // self._together):
                self._multiply(block)
                self._decide(block, sweep + s, heats[s:], rough[s:], of_chain)
            if self._energies:
                self._kept[s] = self.change

    def _multiply(self, block: int) -> None:
        """z[i, r] = sum over j of W[i, j] x[r, j], of a block's neurons."""
        for k, (factor, plane) in enumerate(zip(self._factors, self._planes, strict=True)):
            if k and factor != self._factors[k - 1]:
                self._z *= self._factors[k - 1] // factor
            rows = plane[block * self._together :]
            cublas.gemmEx(
                self._handle, _TRANSPOSED, _PLAIN, self.chains, self._together, self.size,
                _ONE.ctypes.data, self.x.data.ptr, _INT8, self.size, rows.data.ptr, _INT8,
                self.size, (_ONE if k else _ZERO).ctypes.data, self._z.data.ptr, _INT32,
                self.chains, _BY_INT32, _DEFAULT,
            )  # fmt: skip

    def _decide(self, block: int, sweep: int, heats: Any, rough: Any, of_chain: int) -> None:
        start = block * self._together
        self._kernel(
            (self.chains // self._variant.chains,),
            (self._variant.threads,),
            (
                self._tiles[block], self._diagonals[block], self.biases[start:], self.rests[start:],
                self.rest[start:], self.x, self.names, self.clamps if self.clamps.size else _NONE,
                rough, heats, self._z, self.counts, self.digests, self.steps, self.change, _NONE,
                np.uint64(self.seed), np.uint64(sweep), np.int64(self.neurons), np.int64(self.size),
                np.int64(0), np.int64(of_chain), np.int64(self.chains),
                np.int32(self._together), np.int32(1), np.int32(start),
            ),
            shared_mem=self._shared,
        )  # fmt: skip

    def release(self) -> None:
        cublas.destroy(self._handle)
        super().release()


def _padded(weights: NDArray[Any], size: int) -> Any:
    padded = cupy.zeros((size, size), weights.dtype)
    padded[: len(weights), : len(weights)] = cupy.asarray(weights)
    return padded


def _signed(weights: Any) -> tuple[list[int], list[Any]]:
    """Factors, falling, and planes of int8 that times these add up to the weights."""
    if weights.dtype == np.int8:
        return [1], [weights]
    high = cupy.minimum((weights.astype(cupy.int32) + 128) >> 8, 127)
    low = weights - 256 * high
    planes = [high, cupy.minimum(low, 127)]
    if int(low.max()) > 127:  # of weights from 32640 on
        planes.append(cupy.maximum(low - 127, 0))
    if int(low.max()) > 254:
        planes.append(cupy.maximum(low - 254, 0))
        planes[2] = cupy.minimum(planes[2], 127)
    return [256, 1, 1, 1][: len(planes)], [plane.astype(cupy.int8) for plane in planes]
