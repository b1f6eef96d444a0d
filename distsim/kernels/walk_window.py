"""An MPM's window on dense columns whose tickets are drawn, event by event, on one rank.

`walk` says why it is exact. Its twin, of many chains on a GPU, is `walks.cu`.
"""

import numpy as np
from numba import njit

from distsim.kernels.dense import column
from distsim.kernels.events import neuron_of
from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.walk_tickets import deepen, flip, pivot

BLOCK = np.uint64(128)  # neurons: a constant, so that LLVM makes vectors of loops over them
AHEAD = 1 << 19  # bytes of W from which on the next column is prefetched


@njit(**UNCOUNTED)
def push(y, w, up, ahead, prefetches, crossed):
    """Add the column w to y, or subtract it; crossed: int64[n] (out), where y changed its sign.

    ahead: the column that is likely the next, prefetched on the way if wished. Returns how many
    signs changed.
    """
    kind = y.dtype.type
    n = np.uint64(y.size)
    whole = n - n % BLOCK
    line = np.uint64(LINE // w.itemsize)
    found = 0
    for block in range(n // BLOCK):
        start = block * BLOCK
        if prefetches:
            for i in range(start, start + BLOCK, line):
                prefetch((ahead,), i)  # type: ignore[call-arg]
        changed = kind(0)
        if up:
            for k in range(BLOCK):
                old = y[start + k]
                new = kind(old + kind(w[start + k]))
                changed = kind(changed | kind(old ^ new))
                y[start + k] = new
        else:
            for k in range(BLOCK):
                old = y[start + k]
                new = kind(old - kind(w[start + k]))
                changed = kind(changed | kind(old ^ new))
                y[start + k] = new
        if changed < 0:
            found = _signs(y, w, up, start, start + BLOCK, crossed, found)
    changed = kind(0)
    m = kind(0) if up else kind(-1)  # (v ^ m) - m: v or -v
    for i in range(whole, n):
        old = y[i]
        new = kind(old + kind(kind(kind(w[i]) ^ m) - m))
        changed = kind(changed | kind(old ^ new))
        y[i] = new
    if changed < 0:
        found = _signs(y, w, up, whole, n, crossed, found)
    return found


@njit(**UNCOUNTED)
def _signs(y, w, up, start, stop, crossed, found):
    """The part of `crossed` from start to stop. Returns how many there are then."""
    kind = y.dtype.type
    for i in range(start, stop):
        old = kind(y[i] - kind(w[i])) if up else kind(y[i] + kind(w[i]))
        crossed[found] = i
        found += kind(old ^ y[i]) < 0
    return found


@njit(**UNCOUNTED)
def _follower(motion, queue, position, count, otherwise):
    """The neuron of the first ticket from `position` on that fires if nothing changes, if there is
    one."""
    y, c, x = motion
    key, threshold, order, _ = queue
    for o in range(position, count):
        t = order[o]
        j = neuron_of(key[t])
        z = np.int64(y[j]) + np.int64(c[j])
        if (-z if x[j] else z) >= threshold[t, x[j]]:
            return j
    return otherwise


@njit(**UNCOUNTED)
def through(rule, here, columns, motion, tickets, log, count, made):
    """Walk through a window whose tickets are drawn, `count` of them. log (out): but for times.

    Returns (events in all, whether the window ended early, whether there was no room).
    """
    y, c, x = motion
    queue, crossed = tickets.queue, tickets.lanes.crossed
    key, threshold, order, _ = queue
    cap = here.cap
    most = made + here.most
    large = columns.size * columns.itemsize >= AHEAD
    position = 0
    while position < count:
        t = order[position]
        position += 1
        now = key[t]
        j = neuron_of(now)
        z = np.int64(y[j]) + np.int64(c[j])
        state = np.int64(x[j])
        sz = -z if state else z
        if sz < threshold[t, state]:
            continue
        if made == log.event.size:
            return made, False, True
        w = column(columns, j)
        log.event[made] = now | np.uint64(1 - state)
        log.doubled[made] = -2 * sz - np.int64(w[j])
        made += 1
        following = _follower(motion, queue, position, count, j) if large else j
        found = push(y, w, state == 0, column(columns, following), large, crossed)
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
            count = deepen(rule, here, motion, tickets, i, now, position, count)
            if count < 0:
                return made, False, True
        if made == most:
            return made, True, False
    return made, False, False
