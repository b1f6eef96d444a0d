"""Chains of one network side by side on the GPU of a rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distsim.chains.abreast import Abreast
from distsim.chains.chain import Position
from distsim.chains.gpu_sweeps import SweptChains
from distsim.chains.gpu_walks import WalkedChains
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.gpu.capacity import SPARE, stride
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import free_memory
from distsim.laws.conditions import Conditions
from distsim.limits import amount
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import load
from distsim.weights.source import Network

_EACH = 32, 1 << 16  # bytes of a neuron of a chain, and of a chain, besides weights


def open_on_gpu(
    network: Network,
    config: Config,
    ranks: Communicator,
    replicas: Sequence[int],
    starts: Sequence[tuple[NDArray[np.uint8], Conditions]],
    positions: Sequence[Position],
) -> Abreast:
    """These chains, on the GPU that this rank has taken. starts: states, uint8[N], and conditions
    of each; positions: where they stand, none at their starts. Raises InputError for what the GPU
    has no room for."""
    _check_fit(network, config, len(replicas))
    shard = load(network, config.weight_bits, ranks, DeviceColumns)
    kind = WalkedChains if config.model == "mpm" else SweptChains
    try:
        return kind(shard, config, np.array(replicas), starts, positions)
    except BaseException:
        shard.storage.release()
        raise


def _check_fit(network: Network, config: Config, chains: int) -> None:
    """Refuse chains that do not fit, before anything is allocated."""
    neurons, bits = network.neurons, config.weight_bits
    weights = neurons * stride(neurons, bits) * bits // 8
    wanted = 2 * weights + chains * (_EACH[0] * neurons + _EACH[1]) + SPARE
    free = free_memory()
    if wanted > free:
        raise InputError(
            f"device gpu: {chains:,} chains of {neurons:,} neurons with weights of {bits} bits "
            f"given, {amount(wanted)}; allowed: {amount(free)}, what is free on this GPU"
        )
