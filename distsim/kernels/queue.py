"""An MPM's window on sparse columns: what `walk_window.py` does on dense ones, by what is there.

    for each ticket, by time
        it fires iff s z >= its threshold: z is exact at that moment
        push      of each weight of its neuron's column: load y, add, store; its sign changed?
        deepen    the neurons whose s z came to their lowest ticket not drawn: their y changed sign

A window costs some passes over all neurons, an event what its column has. So windows are long, and
tickets that come late wait in a heap beside the others, which are in order from the start. That the
stream is the one of `engines.race`, and that sums are exact in y: see `walk.py`. It has no twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.events import neuron_of
from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.sparse import column
from distsim.kernels.waiting import NONE_SEEN, Heads, deepen, take
from distsim.kernels.walk_tickets import flip, pivot

_NEAR, _FAR = 3, 12  # tickets ahead: whose columns are prefetched, whose neurons
_PART = LINE // 4  # targets in a line of the caches


@njit(**UNCOUNTED)
def push(y, columns, begin, end, up, crossed):
    """Add a column to y, or subtract it; crossed: int64[...] (out), where y changed its sign.
    Returns how many signs changed."""
    kind = y.dtype.type
    target, weight = columns.target, columns.weight
    found = 0
    if up:
        for e in range(begin, end):
            i = target[e]
            old = y[i]
            new = kind(old + kind(weight[e]))
            y[i] = new
            if kind(old ^ new) < 0:
                crossed[found] = i
                found += 1
    else:
        for e in range(begin, end):
            i = target[e]
            old = y[i]
            new = kind(old - kind(weight[e]))
            y[i] = new
            if kind(old ^ new) < 0:
                crossed[found] = i
                found += 1
    return found


@njit(**UNCOUNTED)
def ask_for(columns, j):
    """Prefetch the column of neuron j."""
    begin, end = column(columns, j)
    for e in range(begin, end, _PART):
        prefetch((columns.target, columns.weight), e)  # type: ignore[call-arg]


@njit(**UNCOUNTED)
def _look_ahead(columns, motion, queue, heads):
    """Prefetch what tickets of the order will read soon: a neuron's own; of one that is nearer, and
    fires if nothing changes, its column."""
    key, threshold, order, _ = queue
    y, c, x = motion
    if heads.next + _FAR < heads.early:
        i = neuron_of(key[order[heads.next + _FAR]])
        prefetch((y, c, x, columns.start), i)  # type: ignore[call-arg]
    if heads.next + _NEAR < heads.early:
        t = order[heads.next + _NEAR]
        i = neuron_of(key[t])
        z = np.int64(y[i]) + np.int64(c[i])
        if (-z if x[i] else z) >= threshold[t, x[i]]:
            ask_for(columns, i)


@njit(**UNCOUNTED)
def through(rule, here, columns, motion, tickets, log, count, made):
    """Walk through a window whose tickets are drawn, `count` of them. log (out): but for times.

    Returns (events in all, whether the window ended early, whether there was no room).
    """
    y, c, x = motion
    queue, crossed = tickets.queue, tickets.lanes.crossed
    key, threshold, _, _ = queue
    cap = here.cap
    most = made + here.most
    heads = Heads(0, count, 0, count)
    while heads.next < heads.early or heads.late:
        _look_ahead(columns, motion, queue, heads)
        t, heads = take(queue, heads)
        now = key[t]
        j = neuron_of(now)
        z = np.int64(y[j]) + np.int64(c[j])
        state = np.int64(x[j])
        sz = -z if state else z
        if sz < threshold[t, state]:
            continue
        if made == log.event.size:
            return made, False, True
        begin, end = column(columns, j)
        found = push(y, columns, begin, end, state == 0, crossed)
        after = np.int64(y[j]) + np.int64(c[j])
        log.event[made] = now | np.uint64(1 - state)
        log.doubled[made] = -2 * sz - (z - after if state else after - z)  # less W_jj
        made += 1
        flip(motion, j)
        crossed[found] = j  # in its new state
        for f in range(found + 1):
            i = crossed[f]
            z = np.int64(y[i]) + np.int64(c[i])
            sz = -z if x[i] else z
            if sz < pivot(np.int64(c[i]), x[i]):
                continue
            if sz > cap:
                return made, True, False
            heads, _ = deepen(rule, here, motion, tickets, i, now, heads, NONE_SEEN)
            if heads.total < 0:
                return made, False, True
        if made == most:
            return made, True, False
    return made, False, False
