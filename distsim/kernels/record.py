"""Events as a user sees them: times, columns, digest. `record.cuh` is the twin."""

import numpy as np
from numba import njit

from distsim.kernels.events import ONE, neuron_of, tick_of

# Of splitmix64 (Steele, Lea, Flood 2014): the step of its counter, 2^64 over the golden ratio, and
# the multipliers of its finaliser.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_FIRST = np.uint64(0xBF58476D1CE4E5B9)
MIX_SECOND = np.uint64(0x94D049BB133111EB)


@njit(cache=True)
def event_times(events, high, low, tick, offset, times):
    """times: float64[events] = high + (low + (ticks + offset) * tick) (out).

    (high, low): start of the window as a double-double; tick: model time of a tick.
    """
    for k in range(events.size):
        times[k] = high + (low + (np.float64(tick_of(events[k])) + offset) * tick)


@njit(inline="always")
def mix(h):
    """The finaliser of splitmix64 (see digest.py)."""
    h = (h ^ (h >> np.uint64(30))) * MIX_FIRST
    h = (h ^ (h >> np.uint64(27))) * MIX_SECOND
    return h ^ (h >> np.uint64(31))


@njit(cache=True)
def unpack(events, times, position, start, time, neuron, state):
    """Unpack events into the columns, from `start` on. Returns the events' part of the digest.

    times: float64[events]; `position` events came before; time: float64, neuron: int64,
    state: uint8 (out). See digest.py.
    """
    total = np.uint64(0)
    for k in range(events.size):
        to = start + k
        time[to] = times[k]
        neuron[to] = neuron_of(events[k])
        state[to] = np.uint8(events[k] & ONE)
        index = np.uint64(position + k) * GOLDEN
        word = mix(np.float64(times[k]).view(np.uint64) + index)
        total += mix(word + np.uint64(2 * neuron[to] + state[to]))
    return total
