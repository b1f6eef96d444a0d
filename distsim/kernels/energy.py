"""By how much each event changes the energy: of neuron i from state x_i, s = 1 - 2 x_i,

    2 E / unit  by  -2 s z_i - W_ii,   z_i and x_i right before it.

Integers: whoever owns i knows z_i. See `observe.py`. `energy.cuh` is the twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.apply import PASS, Marks, moved
from distsim.kernels.events import ONE, neuron_of, sign_of
from distsim.kernels.replay import Local, compare, response


@njit(inline="always")
def doubled_by(total, diagonal, event):
    """The change of 2 E by an event of a neuron with this z and W_ii."""
    s = 2 * np.int64(event & ONE) - 1
    return -2 * s * total - np.int64(diagonal)


@njit(cache=True)
def changes_of_energy(local, slot_of, marks, events):
    """int64[own events of `events`]: by how much each changes 2 E, in order of time.

    slot_of: int32[n]; marks: z is known on the way of events that differ little from these.
    """
    local, marks = Local(*local), Marks(*marks)
    first, size = local.first, local.z.size
    changes = np.empty(events.size + marks.applied.size, np.uint64)
    found = np.empty(events.size, np.int64)
    passed = compared = changed = count = 0
    for k in range(events.size):
        i = neuron_of(events[k]) - first
        if i < 0 or i >= size:
            continue
        passed, compared, changed = compare(
            marks.applied, events[:k], events[k] & ~ONE, changes, (passed, compared, changed)
        )
        slot, row = slot_of[i], passed // PASS
        if (
            passed < marks.applied.size
            and marks.applied[passed] == events[k]
            and 0 <= slot < marks.values.shape[1]
        ):
            total = marks.values[row, slot] + marks.inside[passed]
            total += moved(local.columns, changes[:changed], i)
        else:
            total = response(local, marks, i, slot, passed, changes[:changed])
        found[count] = doubled_by(total, local.diagonal[i], events[k])
        count += 1
    return found[:count]


@njit(cache=True)
def without_lift(changes, events, lift):
    """int64[events]: by how much each changes 2 E of the network's own biases, of `changes` found
    where the z of neuron i was lift[i] more, int64[N]."""
    found = np.empty(events.size, np.int64)
    for k in range(events.size):
        found[k] = changes[k] + 2 * sign_of(events[k]) * lift[neuron_of(events[k])]
    return found


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
