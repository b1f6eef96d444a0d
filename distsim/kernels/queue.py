"""An MPM's window on sparse columns: what `walk_window.py` does on dense ones, by what is there.

    for each ticket, by time
        it fires iff s z >= its threshold: z is exact at that moment
        push      of each weight of its neuron's column: load y, add, store; its sign changed?
        deepen    the neurons whose s z came to their lowest ticket not drawn: their y changed sign

A window costs some passes over all neurons, an event what its column has. So windows are long, and
tickets that come late wait in a heap beside the others, which are in order from the start. That the
stream is the one of `engines.race`, and that sums are exact in y: see `walk.py`. It has no twin.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.events import neuron_of, to_threshold
from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.sparse import column
from distsim.kernels.walk_room import LANES
from distsim.kernels.walk_tickets import (
    draw_deeper,
    flip,
    leave_undrawn,
    pivot,
)

_NEAR, _FAR = 3, 12  # tickets ahead: whose columns are prefetched, whose neurons
_PART = LINE // 4  # targets in a line of the caches


class Heads(NamedTuple):
    """Where a window stands: next: of the tickets in order, which are `early` many; late: in the
    heap behind them; total: all there are."""

    next: int
    early: int
    late: int
    total: int


@njit(**UNCOUNTED)
def _push(y, columns, begin, end, up, crossed):
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


@njit(inline="always")
def _sooner(key, t, u):
    """Whether ticket t comes before u; of one neuron at one tick by their numbers."""
    return key[t] < key[u] or (key[t] == key[u] and t < u)


@njit(**UNCOUNTED)
def _put(queue, heads, word, theta, rest):
    """A ticket into the heap. Returns `heads`, of which `total` is -1 if there is no room."""
    key, threshold, order = queue
    first, early, late, t = heads
    if t == key.size:
        return Heads(first, early, late, -1)
    key[t] = word
    threshold[t, 0] = to_threshold(theta - rest)
    threshold[t, 1] = to_threshold(theta + rest)
    k = late
    while k > 0:
        above = (k - 1) >> 1
        if _sooner(key, order[early + above], t):
            break
        order[early + k] = order[early + above]
        k = above
    order[early + k] = t
    return Heads(first, early, late + 1, t + 1)


@njit(**UNCOUNTED)
def _take(queue, heads):
    """The ticket that comes next, from the order or from the heap; `heads` after it."""
    key, _, order = queue
    first, early, late, count = heads
    if late == 0 or (first < early and _sooner(key, order[first], order[early])):
        return order[first], Heads(first + 1, early, late, count)
    t = order[early]
    late -= 1
    last = order[early + late]
    k = 0
    while True:
        below = 2 * k + 1
        if below >= late:
            break
        if below + 1 < late and _sooner(key, order[early + below + 1], order[early + below]):
            below += 1
        if _sooner(key, last, order[early + below]):
            break
        order[early + k] = order[early + below]
        k = below
    order[early + k] = last
    return t, Heads(first, early, late, count)


@njit(**UNCOUNTED)
def _deepen(rule, here, motion, tickets, i, now, heads):
    """As `walk_tickets.deepen`; tickets that wait go into the heap. Returns `heads`."""
    y, c, x = motion
    queue = tickets.queue
    depths, levels, thetas, keys = tickets.following
    theta, key = tickets.lanes.theta, tickets.lanes.key
    end = here.end
    z = np.int64(y[i]) + np.int64(c[i])
    need = min(here.cap, (-z if x[i] else z) + here.margin // 2)
    rest = rule.rest[i]
    depth = np.int64(depths[i])
    total = 0.0
    if depth >= 0:
        total = levels[i]
        if now <= keys[i] < end:
            heads = _put(queue, heads, keys[i], thetas[i], rest)
    while heads.total >= 0:
        total = draw_deeper(rule, here, tickets, i, depth, total)
        depth += LANES
        for q in range(LANES):
            low = to_threshold(theta[q] - abs(rest))
            if low > need:
                leave_undrawn(here, motion, tickets, i, q, low)
                return heads
            if now <= key[q] < end and heads.total >= 0:
                heads = _put(queue, heads, key[q], theta[q], rest)
    return heads


@njit(**UNCOUNTED)
def _look_ahead(columns, motion, queue, heads):
    """Prefetch what tickets of the order will read soon: a neuron's own; of one that is nearer, and
    fires if nothing changes, its column."""
    key, threshold, order = queue
    y, c, x = motion
    if heads.next + _FAR < heads.early:
        i = neuron_of(key[order[heads.next + _FAR]])
        prefetch((y, c, x, columns.start), i)  # type: ignore[call-arg]
    if heads.next + _NEAR < heads.early:
        t = order[heads.next + _NEAR]
        i = neuron_of(key[t])
        z = np.int64(y[i]) + np.int64(c[i])
        if (-z if x[i] else z) >= threshold[t, x[i]]:
            begin, end = column(columns, i)
            for e in range(begin, end, _PART):
                prefetch((columns.target, columns.weight), e)  # type: ignore[call-arg]


@njit(**UNCOUNTED)
def through(rule, here, columns, motion, tickets, log, count, made):
    """Walk through a window whose tickets are drawn, `count` of them. log (out): but for times.

    Returns (events in all, whether the window ended early, whether there was no room).
    """
    y, c, x = motion
    queue, crossed = tickets.queue, tickets.lanes.crossed
    key, threshold, _ = queue
    cap = here.cap
    most = made + here.most
    heads = Heads(0, count, 0, count)
    while heads.next < heads.early or heads.late:
        _look_ahead(columns, motion, queue, heads)
        t, heads = _take(queue, heads)
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
        found = _push(y, columns, begin, end, state == 0, crossed)
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
            heads = _deepen(rule, here, motion, tickets, i, now, heads)
            if heads.total < 0:
                return made, False, True
        if made == most:
            return made, True, False
    return made, False, False
