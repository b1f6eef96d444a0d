"""What the host takes from the rings of the GPUs, while they go on."""

from typing import Any

import numpy as np

from distsim.engines.engine import NONE, of_all_ranks
from distsim.gpu.launcher import Device
from distsim.kernels.observe import Block
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard

_RING = 1 << 21  # recorded events that wait for the host at most, and
_RING_WINDOWS = 2  # at least so many of the longest windows: one is recorded while another waits


def ring_entries(most: int) -> int:
    """A power of two; most: events of a window."""
    return max(_RING, 1 << (_RING_WINDOWS * most - 1).bit_length())


def taken(
    device: Device, shard: Shard[Any], ranks: Communicator, span: tuple[int, int], *, energies: bool
) -> Block:
    """Recorded events span[0] .. span[1] - 1; with energies by all ranks alike, since each knows by
    how much the events of its own neurons change the energy."""
    time, neuron, state = device.recorded(*span)
    if not energies:
        return Block(time, neuron, state, NONE)
    changes = device.changes(*span)
    if ranks.size == 1:
        return Block(time, neuron, state, changes)
    own = (neuron >= shard.first) & (neuron < shard.first + shard.size)
    words = neuron.astype(np.uint64) << np.uint64(1)  # events, but for their ticks and states
    return Block(time, neuron, state, of_all_ranks(changes[own], words, shard.neurons, ranks))
