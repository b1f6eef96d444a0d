"""Many chains of a BM of up to a few thousand neurons: a thread block sweeps some of them alone.

`kernels/resident.cu` says how.
"""

from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.compiler import compile_module
from distsim.gpu.driver import multiprocessors
from distsim.gpu.many import Memory, diagonals_of, planes_of, tiles_of
from distsim.gpu.variants import BLOCK, Variant, choose

_NONE = np.uint64(0)  # a pointer that is none


class Resident(Memory):
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
        neurons, planes = bias.size, weights.itemsize
        size = -(-neurons // BLOCK) * BLOCK
        chosen = variant or choose(
            replicas.size, size, planes, multiprocessors(), energies=energies
        )
        assert chosen is not None
        self._variant = chosen
        super().__init__(
            bias, rest, seed, replicas, states, clamped,
            together=chosen.chains, size=size, place=np.arange(neurons),
        )  # fmt: skip
        padded = cupy.zeros((size, size), weights.dtype)
        padded[:neurons, :neurons] = cupy.asarray(weights)
        parts = planes_of(padded)
        self._tiles = cupy.concatenate([tiles_of(part) for part in parts])
        self._diagonals = cupy.concatenate([diagonals_of(part) for part in parts])
        self._energies = energies
        module = compile_module(
            "resident.cu",
            **chosen.constants(),
            PLANES=planes,
            PASS=0,
            ENERGIES=int(energies),
            DIGEST=int(digest),
            CLAMPED=int(clamped is not None),
        )
        self._kernel = module.get_function("sweep_chains")
        self._shared = chosen.shared(size, planes, energies=energies)
        self._kernel.max_dynamic_shared_size_bytes = self._shared

    def advance(self, sweep: int, scales: NDArray[np.float64]) -> None:
        heats, of_sweep, of_chain = self.heats(scales)
        sweeps = len(scales)
        if self._energies:
            self._kept = cupy.zeros((sweeps, self.chains), cupy.int64)
        self._kernel(
            (self.chains // self._variant.chains,),
            (self._variant.threads,),
            (
                self._tiles, self._diagonals, self.biases, self.rests, self.rest, self.x,
                self.names, self.clamps if self.clamps.size else _NONE,
                heats.astype(cupy.float32), heats, _NONE, self.counts, self.digests, self.steps,
                self.change, self._kept if self._energies else _NONE, np.uint64(self.seed),
                np.uint64(sweep), np.int64(self.neurons), np.int64(self.size),
                np.int64(of_sweep), np.int64(of_chain), np.int64(self.chains),
                np.int32(self.size), np.int32(sweeps), np.int32(0),
            ),
            shared_mem=self._shared,
        )  # fmt: skip
