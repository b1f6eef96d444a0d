"""The tickets of an MPM's window that wait for their time.

    in order     those that were drawn at its start
    in a heap    those that were drawn late
    seen         of several ranks: those that a rank has looked at before their time has come

They come in order of event words; of one neuron at one tick by number. It has no twin.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.events import to_threshold
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.walk_room import LANES
from distsim.kernels.walk_tickets import draw_deeper, leave_undrawn


class Heads(NamedTuple):
    """Where a window stands: next: of the tickets in order, which are `early` many; late: in the
    heap behind them; total: all there are, -1 if there was no room for one."""

    next: int
    early: int
    late: int
    total: int


class Seen(NamedTuple):
    """taken: tickets that were looked at, by time; passed: of them, those whose time has come; now:
    event word of the present; until: tickets before this belong to them."""

    passed: int
    taken: int
    now: np.uint64
    until: np.uint64


NONE_SEEN = Seen(0, 0, np.uint64(0), np.uint64(0))


@njit(inline="always")
def _sooner(key, t, u):
    """Whether ticket t comes before u; of one neuron at one tick by their numbers."""
    return key[t] < key[u] or (key[t] == key[u] and t < u)


@njit(**UNCOUNTED)
def _put(queue, heads, seen, word, theta, rest):
    """A ticket that was drawn late, into the heap or among those that were looked at. Returns
    (heads, seen)."""
    key, threshold, order, _ = queue
    first, early, late, t = heads
    if t == key.size:
        return Heads(first, early, late, -1), seen
    key[t] = word
    threshold[t, 0] = to_threshold(theta - rest)
    threshold[t, 1] = to_threshold(theta + rest)
    if word < seen.until:
        return Heads(first, early, late, t + 1), _insert(queue, seen, t)
    k = late
    while k > 0:
        above = (k - 1) >> 1
        if _sooner(key, order[early + above], t):
            break
        order[early + k] = order[early + above]
        k = above
    order[early + k] = t
    return Heads(first, early, late + 1, t + 1), seen


@njit(inline="always")
def _insert(queue, seen, t):
    """Ticket t, the last that was drawn, among those that were looked at."""
    key, ahead = queue.key, queue.ahead
    passed, taken, now, until = seen
    o = taken
    while o > 0 and key[ahead[o - 1]] > key[t]:
        ahead[o] = ahead[o - 1]
        o -= 1
    ahead[o] = t
    return Seen(passed + np.int64(key[t] < now), taken + 1, now, until)


@njit(**UNCOUNTED)
def take(queue, heads):
    """The ticket that comes next, from the order or from the heap; `heads` after it."""
    key, _, order, _ = queue
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
def deepen(rule, here, motion, tickets, i, since, heads, seen):
    """Draw the tickets that neuron i, whose s z came to b, has reached; those from the event word
    `since` on wait. Returns (heads, seen)."""
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
        if since <= keys[i] < end:
            heads, seen = _put(queue, heads, seen, keys[i], thetas[i], rest)
    while heads.total >= 0:
        total = draw_deeper(rule, here, tickets, i, depth, total)
        depth += LANES
        for q in range(LANES):
            low = to_threshold(theta[q] - abs(rest))
            if low > need:
                leave_undrawn(here, motion, tickets, i, q, low)
                return heads, seen
            if since <= key[q] < end and heads.total >= 0:
                heads, seen = _put(queue, heads, seen, key[q], theta[q], rest)
    return heads, seen
