"""Tickets by time; events of several ranks in one order; what leads from some events to others.

`order.cuh` is the twin, but of `by_time`.
"""

import numpy as np
from numba import njit

from distsim.kernels.events import FIRST_TICK, MPM_TICK_BITS, NEURON_BITS, NO_EVENT, ONE


@njit(cache=True)
def by_time(keys, order):
    """order: int64[tickets] (out), an MPM's tickets by time; keys: uint64[tickets], event words.

    Those of one neuron at one tick keep their order. Times are uniform in the window: counted into
    as many parts of it, tickets are nearly in order.
    """
    bits = 1
    while 1 << bits < keys.size:
        bits += 1
    shift = np.uint64(NEURON_BITS + 1 + MPM_TICK_BITS - bits)
    starts = np.zeros((1 << bits) + 1, np.int64)
    for t in range(keys.size):
        part = np.int64((keys[t] - FIRST_TICK) >> shift)
        starts[part + 1] += 1
    for k in range(1 << bits):
        starts[k + 1] += starts[k]
    for t in range(keys.size):
        part = np.int64((keys[t] - FIRST_TICK) >> shift)
        order[starts[part]] = t
        starts[part] += 1
    for o in range(1, keys.size):
        t = order[o]
        while o > 0 and keys[order[o - 1]] > keys[t]:
            order[o] = order[o - 1]
            o -= 1
        order[o] = t


@njit(cache=True)
def merge(parts, counts, rank, stop, most):
    """Merge the ranks' events, each by time, up to event `stop` and at most `most`.

    parts: uint64[ranks, ...], of which counts: int64[ranks] words are events; those of one neuron
    at one tick stay in their order. Returns the events of all ranks, and of all but `rank`:
    uint64[...].
    """
    heads = np.zeros(counts.size, np.int64)
    events = np.empty(counts.sum(), np.uint64)
    remote = np.empty(events.size, np.uint64)
    kept = 0
    others = 0
    while kept < most:
        least = NO_EVENT
        owner = -1
        for r in range(counts.size):
            if heads[r] < counts[r] and parts[r, heads[r]] < least:
                least = parts[r, heads[r]]
                owner = r
        if owner < 0 or least >> ONE > stop >> ONE:
            break
        heads[owner] += 1
        events[kept] = least
        kept += 1
        if owner != rank:
            remote[others] = least
            others += 1
    return events[:kept], remote[:others]


@njit(cache=True)
def difference(before, after):
    """uint64[changes]: what leads from the events `before` to the events `after`, both by time.

    These are the events to add, and those to take back with the other state, so that their columns
    count with the other sign.
    """
    changes = np.empty(before.size + after.size, np.uint64)
    count = 0
    a = 0
    b = 0
    while a < before.size or b < after.size:
        if a < before.size and b < after.size and before[a] == after[b]:
            a += 1
            b += 1
            continue
        if b == after.size or (a < before.size and before[a] < after[b]):
            changes[count] = before[a] ^ ONE
            a += 1
        else:
            changes[count] = after[b]
            b += 1
        count += 1
    return changes[:count]
