"""The columns of a window's events, added to z: with bounds on the way, or without.

`apply.cuh` is the twin.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.columns import weight
from distsim.kernels.dense import column
from distsim.kernels.events import neuron_of, sign_of
from distsim.kernels.memory import LINE, prefetch
from distsim.kernels.order import difference

PASS = 12  # columns that `apply` adds at a time, as written out in `_columns`
_AHEAD_LINES = np.uint64(12)  # how far ahead of its sums `apply` prefetches, in cache lines


class Marks(NamedTuple):
    """What `apply` leaves on its way: applied: uint64[K], the events that it adds; values:
    int64[passes, slots], z of the slots' neurons before each pass; inside: int64[K], by how much
    those of an event's pass before it move z of its neuron, if it is local; or int64[0], where
    nobody asks for that."""

    applied: Any
    values: Any
    inside: Any


@njit
def moved(columns, events, i):
    """By how much events move z of local neuron i."""
    total = np.int64(0)
    for event in events:
        total += sign_of(event) * weight(columns, np.uint64(i), neuron_of(event))
    return total


@njit
def _column(columns, events, k, none):
    """The column of event k; past the last event `none`, which is all zeros."""
    return column(columns, neuron_of(events[k])) if k < events.size else none


@njit
def _mask(events, k, kind):
    """0 or -1: w ^ mask is the weight w times the sign of event k, or that less 1."""
    return kind(sign_of(events[k]) >> 1) if k < events.size else kind(0)


@njit(inline="always")
def _columns(columns, events, k, none):
    """The columns of twelve events from event k on."""
    return (
        _column(columns, events, k, none),
        _column(columns, events, k + 1, none),
        _column(columns, events, k + 2, none),
        _column(columns, events, k + 3, none),
        _column(columns, events, k + 4, none),
        _column(columns, events, k + 5, none),
        _column(columns, events, k + 6, none),
        _column(columns, events, k + 7, none),
        _column(columns, events, k + 8, none),
        _column(columns, events, k + 9, none),
        _column(columns, events, k + 10, none),
        _column(columns, events, k + 11, none),
    )


@njit(inline="always")
def _masks(events, k, kind):
    """The masks of twelve events from event k on."""
    return (
        _mask(events, k, kind),
        _mask(events, k + 1, kind),
        _mask(events, k + 2, kind),
        _mask(events, k + 3, kind),
        _mask(events, k + 4, kind),
        _mask(events, k + 5, kind),
        _mask(events, k + 6, kind),
        _mask(events, k + 7, kind),
        _mask(events, k + 8, kind),
        _mask(events, k + 9, kind),
        _mask(events, k + 10, kind),
        _mask(events, k + 11, kind),
    )


@njit
def _added(kind, value, high, low, weight, mask):
    """A sum after one more event, short by 1 if that is subtracted, and its extremes so far."""
    value = kind(value + (kind(weight) ^ mask))
    return value, max(high, value), min(low, value)


@njit(cache=True)
def apply(columns, z, end, bounds, slots, marks, first):
    """Add the columns of the events of `marks` to z, with bounds on the way.

    end = z + columns, as z[n]; bounds: on z of each neuron over the window, start included, at most
    12 units wide of its extremes, since sums are short by the subtractions of their pass. first: of
    the local neurons. What `Marks` says of values and inside is filled in. Twelve columns a pass
    keep the sums in registers. They are prefetched: of itself a core does not read so many streams
    far enough ahead.
    """
    high, low = bounds
    events, values, inside = marks
    n = z.size
    neurons = slots.neuron.copy()
    kind = z.dtype.type
    none = np.zeros(n, column(columns, 0).dtype)
    # A cache line of each column at a time. Unsigned, and constant in compiled code: LLVM makes no
    # vectors of the loop otherwise.
    line = np.uint64(8 * LINE // np.iinfo(none.dtype).bits)
    lines = np.uint64(n) // line
    for i in range(n):  # three copies cost three times as much
        end[i] = high[i] = low[i] = z[i]
    for k in range(0, events.size, PASS):
        for a in range(neurons.size):
            values[k // PASS, a] = end[neurons[a]]
        twelve = _columns(columns, events, k, none)
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11 = twelve
        m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11 = _masks(events, k, kind)
        short = -(m0 + m1 + m2 + m3 + m4 + m5 + m6 + m7 + m8 + m9 + m10 + m11)
        for part in range(lines):
            prefetch(twelve, (part + _AHEAD_LINES) * line)  # type: ignore[call-arg]
            for j in range(line):
                i = part * line + j
                v = end[i]
                h = v
                b = v
                v, h, b = _added(kind, v, h, b, w0[i], m0)
                v, h, b = _added(kind, v, h, b, w1[i], m1)
                v, h, b = _added(kind, v, h, b, w2[i], m2)
                v, h, b = _added(kind, v, h, b, w3[i], m3)
                v, h, b = _added(kind, v, h, b, w4[i], m4)
                v, h, b = _added(kind, v, h, b, w5[i], m5)
                v, h, b = _added(kind, v, h, b, w6[i], m6)
                v, h, b = _added(kind, v, h, b, w7[i], m7)
                v, h, b = _added(kind, v, h, b, w8[i], m8)
                v, h, b = _added(kind, v, h, b, w9[i], m9)
                v, h, b = _added(kind, v, h, b, w10[i], m10)
                v, h, b = _added(kind, v, h, b, w11[i], m11)
                end[i] = v + short
                high[i] = max(high[i], kind(h + short))
                low[i] = min(low[i], b)
        for event in events[k : k + PASS]:  # the neurons after the last full line
            w = column(columns, neuron_of(event))
            for i in range(lines * line, np.uint64(n)):
                end[i] += kind(sign_of(event) * np.int64(w[i]))
                high[i] = max(high[i], end[i])
                low[i] = min(low[i], end[i])
        for e in range(k, min(k + PASS, inside.size)):  # while the columns are at hand
            i = neuron_of(events[e]) - first
            if 0 <= i < n:
                inside[e] = moved(columns, events[k:e], i)


@njit(cache=True)
def accumulate(columns, events, z):
    """Add the columns of `events` to z[n], in place: twelve a pass, as in `apply`; a few singly."""
    n = z.size
    kind = z.dtype.type
    few = events.size % PASS if events.size % PASS < 5 else 0
    for k in range(events.size - few, events.size):
        w = column(columns, neuron_of(events[k]))
        m = _mask(events, k, kind)
        for i in range(n):
            z[i] += kind((kind(w[i]) ^ m) - m)
    if few == events.size:
        return
    none = np.zeros(n if (events.size - few) % PASS else 0, column(columns, 0).dtype)
    for k in range(0, events.size - few, PASS):
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11 = _columns(columns, events, k, none)
        m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11 = _masks(events, k, kind)
        short = -(m0 + m1 + m2 + m3 + m4 + m5 + m6 + m7 + m8 + m9 + m10 + m11)
        for i in range(n):
            z[i] += kind(
                short
                + (kind(w0[i]) ^ m0)
                + (kind(w1[i]) ^ m1)
                + (kind(w2[i]) ^ m2)
                + (kind(w3[i]) ^ m3)
                + (kind(w4[i]) ^ m4)
                + (kind(w5[i]) ^ m5)
                + (kind(w6[i]) ^ m6)
                + (kind(w7[i]) ^ m7)
                + (kind(w8[i]) ^ m8)
                + (kind(w9[i]) ^ m9)
                + (kind(w10[i]) ^ m10)
                + (kind(w11[i]) ^ m11)
            )


@njit(cache=True)
def adjust(columns, before, after, most, end, bounds):
    """Bring `end` and the bounds from the events `before` to the events `after`.

    Bounds are widened by all that a change may move z, so that they stay bounds, whatever the order
    of the events. Returns the changes; nothing is done if they are more than `most`.
    """
    high, low = bounds
    changes = difference(before, after)
    if changes.size > most:
        return changes
    kind = end.dtype.type
    none = np.zeros(end.size, column(columns, 0).dtype)
    for k in range(0, changes.size, 4):
        w0 = _column(columns, changes, k, none)
        w1 = _column(columns, changes, k + 1, none)
        w2 = _column(columns, changes, k + 2, none)
        w3 = _column(columns, changes, k + 3, none)
        m0 = _mask(changes, k, kind)
        m1 = _mask(changes, k + 1, kind)
        m2 = _mask(changes, k + 2, kind)
        m3 = _mask(changes, k + 3, kind)
        short = -(m0 + m1 + m2 + m3)
        for i in range(end.size):
            v0 = kind(w0[i]) ^ m0
            v1 = kind(w1[i]) ^ m1
            v2 = kind(w2[i]) ^ m2
            v3 = kind(w3[i]) ^ m3
            end[i] += kind(short + v0 + v1 + v2 + v3)
            high[i] += kind(short + max(v0, 0) + max(v1, 0) + max(v2, 0) + max(v3, 0))
            low[i] += kind(min(v0, 0) + min(v1, 0) + min(v2, 0) + min(v3, 0))
    return changes


@njit(cache=True)
def crossing(local, events, bounds, cap, clamped):
    """Index of the first event after which some s z is above `cap`; events.size if none.

    clamped: int64[c], rising: the local neurons whose s z may be.
    """
    columns, _, first, z, x = local
    high, low = bounds
    best = events.size
    passed = 0  # clamped neurons
    for i in range(z.size):
        if passed < clamped.size and clamped[passed] == i:
            passed += 1
            continue
        if max(np.int64(high[i]), -np.int64(low[i])) <= cap:
            continue
        total = np.int64(z[i])
        state = x[i]
        for e in range(best):
            j = neuron_of(events[e])
            total += sign_of(events[e]) * weight(columns, i, j)
            if j == first + i:
                state = 1 - state
            if (total if state == 0 else -total) > cap:
                best = e
                break
    return best
