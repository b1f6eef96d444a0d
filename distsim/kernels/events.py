"""Events, packed into words, and thresholds in weight units.

    event: uint64    tick << 23 | neuron << 1 | new state    (neuron: global index)

Ticks count time in the window from 1, in 2^-40 of its width (MPM) or in steps (BM); so no event
is 0. `events.cuh` is the twin, with its constants from here.

Symbols of all kernels, for a rank that owns n of the N neurons, the first being `first`:

    columns                     the rank's rows of W, dense or sparse: `columns.py`
    z: int32/64[n]              linear responses with the integer part of the bias, in weight units
    rest: float64[n]            the rest of the bias in weight units, in [-1/2, 1/2]
    x: uint8[n]                 states; s = 1 - 2 x
    slots, tickets, order       see `tickets.py`
"""

import numpy as np
from numba import njit

from distsim.limits import NEURON_BITS as NEURON_BITS

MPM_TICK_BITS = 40  # a window of the MPM has 2^40 ticks, counted from 1
NO_EVENT = np.uint64(0xFFFFFFFFFFFFFFFF)
LIMIT = 2.0**62  # thresholds beyond any linear response are cut to it
ONE = np.uint64(1)
_STATE_AND_NEURON = np.uint64(NEURON_BITS + 1)
FIRST_TICK = ONE << _STATE_AND_NEURON
_NEURON_MASK = np.uint64((1 << NEURON_BITS) - 1)


@njit(inline="always")
def neuron_of(event):
    """Global neuron of an event."""
    return np.int64((event >> ONE) & _NEURON_MASK)


@njit(inline="always")
def sign_of(event):
    """+1 if the neuron came into state 1, -1 if into state 0: the factor of its column."""
    return np.int64(2) * np.int64(event & ONE) - np.int64(1)


@njit(inline="always")
def tick_of(event):
    return np.int64(event >> _STATE_AND_NEURON)


@njit(inline="always")
def event_word(tick, neuron):
    return (np.uint64(tick) << _STATE_AND_NEURON) | (np.uint64(neuron) << ONE)


@njit(inline="always")
def to_threshold(value):
    """Smallest integer at or above a real threshold, cut to +-2^62."""
    return np.int64(np.ceil(max(-LIMIT, min(LIMIT, value))))
