"""States: random ones, and those after events. On GPUs they are bits of a byte (`layout.cuh`)."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from distsim.kernels.events import ONE, neuron_of
from distsim.kernels.philox import PATTERN, STATE, draw, word_of


@njit(cache=True)
def commit(events, first, x):
    """Change the states of the local neurons: x[n] in place."""
    for e in range(events.size):
        i = neuron_of(events[e]) - first
        if 0 <= i < x.size:
            x[i] = np.uint8(events[e] & ONE)


def undoing(events: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The events that lead back to before these: with the other states, the last one first."""
    return events[::-1] ^ ONE


@njit(cache=True)
def random_patterns(seed, count, neurons):
    """uint8[count, neurons]: random patterns of zeros and ones."""
    patterns = np.empty((count, neurons), np.uint8)
    for p in range(count):
        for i in range(neurons):
            patterns[p, i] = _bit(seed, i, p, PATTERN)
    return patterns


@njit(cache=True)
def random_states(seed, replica, first, x):
    """Independent fair states, x: uint8[n] (out). replica: its bits (`philox.replica_bits`)."""
    for i in range(x.size):
        x[i] = _bit(seed, first + i, replica, STATE)


@njit(inline="always")
def _bit(seed, neuron, count, purpose):
    return np.uint8(word_of(draw(seed, neuron >> 2, count, 0, purpose), neuron & 3) & ONE)
