"""By how much each event changes the energy: of neuron i from state x_i, s = 1 - 2 x_i,

    2 E / unit  by  -2 s z_i - W_ii,   z_i and x_i right before it.

Integers: whoever owns i knows z_i. See `observe.py`. `energy.cuh` is the twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.apply import PASS
from distsim.kernels.events import ONE, neuron_of
from distsim.kernels.replay import moved


@njit(inline="always")
def doubled_by(total, diagonal, event):
    """The change of 2 E by an event of a neuron with this z and W_ii."""
    s = 2 * np.int64(event & ONE) - 1
    return -2 * s * total - np.int64(diagonal)


@njit(cache=True)
def changes_of_energy(local, slot_of, marks, events):
    """int64[own events of `events`]: by how much each changes 2 E, in order of time.

    slot_of: int32[n]; marks: where the events are those that `apply` added, z is known on the way.
    """
    columns, diagonal, first, z, _ = local
    applied, values = marks
    same = 0  # first events that are those applied
    while same < min(events.size, applied.size) and events[same] == applied[same]:
        same += 1
    found = np.empty(events.size, np.int64)
    count = 0
    for k in range(events.size):
        i = neuron_of(events[k]) - first
        if i < 0 or i >= z.size:
            continue
        total = np.int64(z[i])
        begin = 0
        row = min(k, same) // PASS
        if row < values.shape[0] and 0 <= slot_of[i] < values.shape[1]:
            total = values[row, slot_of[i]]
            begin = row * PASS
        total += moved(columns, events[begin:k], i)
        found[count] = doubled_by(total, diagonal[i], events[k])
        count += 1
    return found[:count]


@njit(cache=True)
def interleave(parts, counts, events, firsts):
    """int64[events]: of each event the next of its owner's numbers.

    parts: uint64[ranks, ...], of which counts: int64[ranks] are numbers; firsts: int64[ranks], the
    first neuron of each rank.
    """
    heads = np.zeros(counts.size, np.int64)
    found = np.empty(events.size, np.int64)
    for k in range(events.size):
        owner = np.searchsorted(firsts, neuron_of(events[k]), side="right") - 1
        found[k] = np.int64(parts[owner, heads[owner]])
        heads[owner] += 1
    return found
