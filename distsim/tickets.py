"""The tickets of one window on one rank: growable arrays that the compiled loops fill.

A ticket is an event word (tick, neuron), a slot, and two thresholds: it fires, and its neuron
changes state, iff s z >= threshold[x] at that moment. A slot is a neuron that holds tickets.
"""

import numpy as np


class Tickets:
    """keys: uint64[tickets]; slot: int64[tickets]; threshold: int64[tickets, 2];
    neurons, depth: int64[slots], level: float64[slots], coming: uint64[slots] (see
    kernels.cpu.deepen); slot_of: int32[n], -1 for none."""

    def __init__(self, neurons: int) -> None:
        self.slot_of = np.full(neurons, -1, np.int32)
        self.slots = 0
        self.count = 0
        self.neurons = np.empty(64, np.int64)
        self.depth = np.empty(64, np.int64)
        self.level = np.empty(64)
        self.coming = np.empty(64, np.uint64)
        self.keys = np.empty(64, np.uint64)
        self.slot = np.empty(64, np.int64)
        self.threshold = np.empty((64, 2), np.int64)

    def clear(self) -> None:
        self.slot_of[self.neurons[: self.slots]] = -1
        self.slots = 0
        self.count = 0

    def reserve(self, slots: int, count: int) -> None:
        """Room for so many slots and tickets."""
        if slots > self.neurons.size:
            self.neurons = _grown(self.neurons, slots)
            self.depth = _grown(self.depth, slots)
            self.level = _grown(self.level, slots)
            self.coming = _grown(self.coming, slots)
        if count > self.keys.size:
            self.keys = _grown(self.keys, count)
            self.slot = _grown(self.slot, count)
            self.threshold = _grown(self.threshold, count)

    def order(self) -> np.ndarray:
        """int64[tickets]: by time; tickets of one neuron at one tick keep their order."""
        return np.argsort(self.keys[: self.count], kind="stable")


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    grown = np.empty((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
