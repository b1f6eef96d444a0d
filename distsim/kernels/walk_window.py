"""An MPM's window whose tickets are drawn, event by event: of one rank, or of several together.

`walk` says why it is exact. Its twin, of many chains on a GPU, is `walks.cu`.
"""

import numpy as np
from numba import njit

from distsim.kernels.dense import column
from distsim.kernels.events import NO_EVENT, ONE, neuron_of
from distsim.kernels.meeting import meet
from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.walk_tickets import deepen, flip, pivot

BLOCK = np.uint64(64)  # neurons: a constant, so that LLVM makes vectors of loops over them
_AHEAD = 1 << 13  # bytes of a column from which on the next one is prefetched
_NO_ROOM, _EARLY = np.uint64(0), np.uint64(1)  # before all event words: the window ends


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
def _fires_next(motion, queue, position, count, first):
    """The first ticket from `position` on that fires if nothing changes: (its place in the order,
    its event's word or NO_EVENT, s z)."""
    y, c, x = motion
    key, threshold, order = queue
    for o in range(position, count):
        t = order[o]
        j = neuron_of(key[t]) - first
        z = np.int64(y[j]) + np.int64(c[j])
        sz = -z if x[j] else z
        if sz >= threshold[t, x[j]]:
            return o, key[t] | (ONE - np.uint64(x[j])), sz
    return count, NO_EVENT, np.int64(0)


@njit(inline="always")
def _follower(columns, event, otherwise):
    """The column of an event that may be the next, if there is one."""
    return column(columns, neuron_of(event)) if event != NO_EVENT else otherwise


@njit(**UNCOUNTED)
def through(rule, here, columns, motion, tickets, log, count, made):
    """Walk through a window whose tickets are drawn, `count` of them. log (out): but for times.

    Returns (events in all, whether the window ended early, whether there was no room).
    """
    y, c, x = motion
    queue, crossed = tickets.queue, tickets.lanes.crossed
    key, threshold, order = queue
    cap = here.cap
    most = made + here.most
    large = x.size * columns.itemsize >= _AHEAD
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
        ahead = now
        if large:
            _, ahead, _ = _fires_next(motion, queue, position, count, 0)
        found = push(y, w, state == 0, _follower(columns, ahead, w), large, crossed)
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


@njit(**UNCOUNTED)
def together(rule, here, columns, motion, tickets, log, count, made):
    """As `through`, of one of several ranks; count: -1 if there was no room for its tickets."""
    y, c, x = motion
    queue, crossed = tickets.queue, tickets.lanes.crossed
    key, order = queue.key, queue.order
    first, places = rule.first, rule.places
    most = made + here.most
    large = x.size * columns.itemsize >= _AHEAD
    position, lifted = 0, False
    o, word, sz = _fires_next(motion, queue, position, count, first)
    while True:
        i = neuron_of(word) - first if o < count else 0
        number = -2 * sz - np.int64(rule.diagonal[i]) if o < count else 0
        if lifted:
            word = _EARLY
        if count < 0:
            word = _NO_ROOM
        following = NO_EVENT
        if large:
            _, following, _ = _fires_next(motion, queue, o + 1, count, first)
        event, number, following = meet(places, word, number, following)
        if event == NO_EVENT:
            return made, False, False
        if event <= _EARLY:
            return made, event == _EARLY, event == _NO_ROOM
        if made == log.event.size:
            return made, False, True
        log.event[made] = event
        log.doubled[made] = number
        made += 1
        up = np.int64(event & ONE)
        own = event == word
        if own:
            position = o + 1
        else:
            while position < count and key[order[position]] < event:
                position += 1
        w = column(columns, neuron_of(event))
        found = push(y, w, up == 1, _follower(columns, following, w), large, crossed)
        if own:
            flip(motion, i)
            crossed[found] = i  # in its new state
            found += 1
        for f in range(found):
            i = crossed[f]
            z = np.int64(y[i]) + np.int64(c[i])
            sz = -z if x[i] else z
            if sz < pivot(np.int64(c[i]), x[i]):
                continue
            lifted |= sz > here.cap
            if not lifted and count >= 0:
                count = deepen(rule, here, motion, tickets, i, event & ~ONE, position, count)
        if made == most:
            return made, True, False
        o, word, sz = _fires_next(motion, queue, position, count, first)
