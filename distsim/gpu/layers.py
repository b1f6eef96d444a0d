"""Many chains of a BM in layers, an RBM say: a layer is one product and one draw.

`kernels/layers.cu` says how; `layering.py`, what layers are.
"""

from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.compiler import compile_module
from distsim.gpu.driver import multiprocessors
from distsim.gpu.layering import layering
from distsim.gpu.many import Memory, planes_of, tiles_of
from distsim.gpu.variants import LayerVariant, choose_for_layers
from distsim.kernels.layers import bounds_of

_NONE = np.uint64(0)  # a pointer that is none


class Layers(Memory):
    """`many.ManyChains`, of more than one neuron; weights are on the host."""

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
        variant: LayerVariant | None = None,
    ) -> None:
        found = layering(weights, bounds_of(weights))
        chosen = variant or choose_for_layers(replicas.size, found.size, multiprocessors())
        assert chosen is not None
        self._variant = chosen
        super().__init__(
            bias, rest, seed, replicas, states, clamped,
            together=chosen.chains, size=found.size, place=found.place,
        )  # fmt: skip
        padded = cupy.zeros((found.size, found.size), weights.dtype)
        place = cupy.asarray(found.place)
        padded[place[:, None], place[None, :]] = cupy.asarray(weights)
        self._tiles = cupy.concatenate([tiles_of(part) for part in planes_of(padded)])
        self._layers = cupy.asarray(found.layers)
        self._columns = cupy.asarray(found.columns)
        self._energies = energies
        module = compile_module(
            "layers.cu",
            **chosen.constants(),
            PLANES=weights.itemsize,
            ENERGIES=int(energies),
            DIGEST=int(digest),
            CLAMPED=int(clamped is not None),
        )
        self._kernel = module.get_function("sweep_layers")
        self._shared = chosen.shared(found.size)
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
                self._tiles, _NONE, self.biases, self.rests, self.rest, self.x, self.names,
                self.clamps if self.clamps.size else _NONE, heats.astype(cupy.float32), heats,
                _NONE, self.counts, self.digests, self.steps, self.change,
                self._kept if self._energies else _NONE, np.uint64(self.seed), np.uint64(sweep),
                np.int64(self.neurons), np.int64(self.size), np.int64(of_sweep),
                np.int64(of_chain), np.int64(self.chains), np.int32(self.size), np.int32(sweeps),
                np.int32(0), self._layers, self._columns, np.int32(len(self._layers)),
            ),
            shared_mem=self._shared,
        )  # fmt: skip
