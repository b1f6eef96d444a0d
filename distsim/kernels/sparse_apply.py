"""The columns of a window's events, sparse ones, added to z: what `apply.py` does of dense ones.

It has no twin yet.
"""

import numpy as np
from numba import njit

from distsim.kernels.apply import PASS
from distsim.kernels.events import neuron_of, sign_of
from distsim.kernels.order import difference
from distsim.kernels.sparse import part, tile_of, weight


@njit(cache=True)
def accumulate(columns, events, z):
    """Add the columns of `events` to z[n], in place."""
    kind = z.dtype.type
    for b in range(columns.start.shape[0]):
        here = tile_of(columns, b, z)
        for event in events:
            s = kind(sign_of(event))
            begin, end = part(columns, b, neuron_of(event))
            for e in range(begin, end):
                here[columns.target[e]] += kind(s * kind(columns.weight[e]))


@njit(cache=True)
def apply(columns, z, end, bounds, slots, marks, first):
    """As `apply.apply`, with bounds that are exact."""
    high, low = bounds
    events, values, inside = marks
    neurons = slots.neuron.copy()
    kind = z.dtype.type
    for i in range(z.size):
        end[i] = high[i] = low[i] = z[i]
    for k in range(0, events.size, PASS):
        for a in range(neurons.size):
            values[k // PASS, a] = end[neurons[a]]
        for m in range(k, min(k + PASS, events.size)):
            j = neuron_of(events[m])
            i = np.int64(j) - first
            if m < inside.size and 0 <= i < z.size:
                total = np.int64(0)
                for event in events[k:m]:
                    total += sign_of(event) * weight(columns, i, neuron_of(event))
                inside[m] = total
            s = kind(sign_of(events[m]))
            for b in range(columns.start.shape[0]):
                begin, stop = part(columns, b, j)
                for e in range(begin, stop):
                    i = b * columns.tile + columns.target[e]
                    v = kind(end[i] + kind(s * kind(columns.weight[e])))
                    end[i] = v
                    high[i] = max(high[i], v)
                    low[i] = min(low[i], v)


@njit(cache=True)
def adjust(columns, before, after, most, end, bounds):
    """As `apply.adjust`."""
    high, low = bounds
    changes = difference(before, after)
    if changes.size > most:
        return changes
    kind = end.dtype.type
    for event in changes:
        s = kind(sign_of(event))
        for b in range(columns.start.shape[0]):
            begin, stop = part(columns, b, neuron_of(event))
            for e in range(begin, stop):
                i = b * columns.tile + columns.target[e]
                v = kind(s * kind(columns.weight[e]))
                end[i] += v
                high[i] += max(v, kind(0))
                low[i] += min(v, kind(0))
    return changes
