"""The tickets of a walk through an MPM's window: `mcculloch_pitts`'s, as deep as is needed.

    y = z - c,   c = b (armed) or 1 - b (refractory),   b = min(lowest threshold not drawn, cap + 1)

s z >= b iff y >= 0 (armed) or y < 0 (refractory). As long as s z < b, tickets that are not drawn
cannot fire; where y changes its sign, `deepen` draws more. Of most neurons only the high half of
ticket 0's level is drawn: then b is a bound on its threshold from below.

Its twins, of many chains on a GPU, are `walks.cuh` and `fields.cuh`.
"""

import numpy as np
from numba import njit

from distsim.kernels.elementary import exponential, uniform
from distsim.kernels.events import to_threshold
from distsim.kernels.mcculloch_pitts import (
    BINS,
    arrival_key,
    first_words,
    level_threshold,
    lowest_thresholds,
)
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.order import by_time
from distsim.kernels.philox import TICKET, draw
from distsim.kernels.walk_room import LANES, TABLES

# Of a word's bin (`mcculloch_pitts.BINS`), from the bits of the float32 of its upper 24 bits.
_BIN_SHIFT = np.int32(18)
_BIN_ORIGIN = np.int32(((127 - 8) << 5) - 1)


@njit(inline="always")
def limit_of(y):
    """Beyond all linear responses of this type, and far enough from its own limits for y."""
    return np.int64(1 << 30) if y.itemsize == 4 else np.int64(1 << 61)


@njit(inline="always")
def pivot(b, state):
    """c of a neuron in this state; of c, b."""
    return 1 - b if state else b


@njit(**UNCOUNTED)
def draw_levels(rule, window, lanes, count):
    """level (out): steps, standard exponentials; key (out)."""
    seed, first = rule.seed, rule.first
    neuron, depth, word, _, level, _, key, _ = lanes
    whole = (count + LANES - 1) & -LANES
    for q in range(count, whole):
        neuron[q] = depth[q] = word[q] = 0
    for q in range(whole):
        a, b, c, d = draw(seed, first + neuron[q], window, depth[q], TICKET)
        a = word[q] if depth[q] == 0 else a
        level[q] = exponential(uniform(a, b))
        key[q] = arrival_key(c, d, first + neuron[q])


@njit(**UNCOUNTED)
def thresholds(exponent, scale, level, theta, count):
    """theta (out), of the levels."""
    for q in range((count + LANES - 1) & -LANES):
        theta[q] = level_threshold(level[q], exponent, scale)


@njit(cache=True)
def _make_table(exponent, scale, cap, limit, table):
    """b by the bin of a neuron's first word, for windows of width 2^exponent (out)."""
    bounds = lowest_thresholds(exponent, scale)
    for k in range(BINS):
        table[k] = max(min(bounds[k], cap + 1), -limit)


@njit(**UNCOUNTED)
def _screen(motion, words, table, margin, clamped, candidates, flags):
    """b of every neuron from its first word, beyond all s z of a clamped one; candidates (out): s z
    may be no more than the margin below the ticket.

    y: z before, z - c after. Returns how many candidates.
    """
    y, c, x = motion
    kind = y.dtype.type
    lowest = kind(-min(margin, limit_of(y)))
    for i in range(x.size):
        # The bin of `lowest_thresholds`, or the first if the word is below 2^8.
        bits = np.float32(np.int32(words[i] >> np.uint32(8))).view(np.int32)
        c[i] = table[np.uint64(max(np.int32(bits >> _BIN_SHIFT) - _BIN_ORIGIN, np.int32(0)))]
    for i in clamped:
        c[i] = kind(limit_of(y))
    for i in range(x.size):
        m = -kind(x[i])  # 0, or -1 if refractory: (v ^ m) - m is s v
        turning = kind(kind(kind(c[i] ^ m) - m) - m)
        left = kind(y[i] - turning)
        c[i] = turning
        y[i] = left
        flags[i] = np.uint8(kind(left ^ m) >= lowest)
    for i in clamped:
        flags[i] = 0
    found = 0
    for i in range(x.size):
        candidates[found] = i
        found += flags[i]
    return found


@njit(inline="always")
def _words(rule, window, words, n):
    """Draw `first_word` of the n local neurons into `words`: the part that is theirs."""
    before = rule.first & 3
    first_words(rule.seed, window, rule.first >> 2, (n + before + 3) >> 2, words)
    return words[before : before + n]


@njit(cache=True, error_model="numpy")
def begin(rule, here, motion, kept, tickets):
    """Draw the tickets that neurons have reached at the window's start, and put them in order.

    y: z before, z - c after. Returns how many, or -1 if there is no room for them.
    """
    rest = rule.rest
    window, exponent, scale, cap, end, _, margin = here
    y, c, x = motion
    exponents, scales, tables, flags = kept
    drawn, following, lanes, queue = tickets
    depths, levels, thetas, keys = following
    neuron, depth, word, need, level, theta, key, _ = lanes
    queue_key, queue_threshold, order, _ = queue
    kind = y.dtype.type
    limit = limit_of(y)
    words = _words(rule, window, drawn, x.size)
    at = exponent % TABLES
    if exponents[at] != exponent or scales[at] != scale:
        _make_table(exponent, scale, cap, limit, tables[at])
        exponents[at], scales[at] = exponent, scale
    left = _screen(motion, words, tables[at], margin, rule.clamped, neuron, flags)
    depths[:] = -1
    for q in range(left):
        i = neuron[q]
        depth[q] = 0
        word[q] = words[i]
        z = np.int64(y[i]) + np.int64(c[i])
        need[q] = min(cap, (-z if x[i] else z) + margin)
        levels[i] = 0.0
    count = 0
    while left:
        if count + left > queue_key.size:
            return -1
        draw_levels(rule, window, lanes, left)
        for q in range(left):
            level[q] += levels[neuron[q]]
        thresholds(exponent, scale, level, theta, left)
        more = 0
        for q in range(left):
            i = neuron[q]
            low = to_threshold(theta[q] - abs(rest[i]))
            levels[i] = level[q]
            if low <= need[q]:
                queue_key[count] = key[q]
                queue_threshold[count, 0] = to_threshold(theta[q] - rest[i])
                queue_threshold[count, 1] = to_threshold(theta[q] + rest[i])
                count += key[q] < end
                neuron[more] = i
                depth[more] = depth[q] + np.uint64(1)
                need[more] = need[q]
                more += 1
                continue
            depths[i] = depth[q]
            thetas[i] = theta[q]
            keys[i] = key[q]
            z = kind(y[i] + c[i])
            c[i] = kind(pivot(max(min(low, cap + 1), -limit), x[i]))
            y[i] = kind(z - c[i])
        left = more
    by_time(queue_key[:count], order)
    return count


@njit(inline="always")
def flip(motion, i):
    """Neuron i takes its other state; its b stays."""
    y, c, x = motion
    kind = y.dtype.type
    z = np.int64(y[i]) + np.int64(c[i])
    state = np.int64(x[i])
    b = pivot(np.int64(c[i]), state)
    x[i] = 1 - state
    c[i] = kind(pivot(b, 1 - state))
    y[i] = kind(z - np.int64(c[i]))


@njit(inline="always")
def draw_deeper(rule, here, tickets, i, depth, total):
    """Draw neuron i's tickets after number `depth`, whose level is `total`, into the lanes. Returns
    the level of the last one."""
    words, _, lanes, _ = tickets
    neuron, depth_of, word_of, _, level, theta, _, _ = lanes
    for q in range(LANES):
        neuron[q] = i
        depth_of[q] = depth + 1 + q
        word_of[q] = words[i + (rule.first & 3)]
    draw_levels(rule, here.number, lanes, LANES)
    for q in range(LANES):
        total += level[q]
        level[q] = total
    thresholds(here.exponent, here.scale, level, theta, LANES)
    return total


@njit(inline="always")
def leave_undrawn(here, motion, tickets, i, q, low):
    """The ticket in lane q is neuron i's first that stays undrawn; low: its lowest threshold."""
    y, c, x = motion
    depths, levels, thetas, keys = tickets.following
    lanes = tickets.lanes
    kind = y.dtype.type
    z = np.int64(y[i]) + np.int64(c[i])
    depths[i] = lanes.depth[q]
    levels[i] = lanes.level[q]
    thetas[i] = lanes.theta[q]
    keys[i] = lanes.key[q]
    c[i] = kind(pivot(max(min(low, here.cap + 1), -limit_of(y)), x[i]))
    y[i] = kind(z - np.int64(c[i]))


@njit(**UNCOUNTED)
def deepen(rule, here, motion, tickets, i, now, position, count):
    """Draw the tickets that neuron i, whose s z came to b, has reached; those after `now` wait.

    now: the event word of the present ticket; position: in the order, of the next one. A ticket at
    the tick of the present one is its neuron's own, and comes after it. Returns how many tickets
    there are, or -1 if there is no room for them.
    """
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
            count = _insert(queue, position, count, keys[i], thetas[i], rest)
    while count >= 0:
        total = draw_deeper(rule, here, tickets, i, depth, total)
        depth += LANES
        for q in range(LANES):
            low = to_threshold(theta[q] - abs(rest))
            if low > need:
                leave_undrawn(here, motion, tickets, i, q, low)
                return count
            if now <= key[q] < end and count >= 0:
                count = _insert(queue, position, count, key[q], theta[q], rest)
    return count


@njit(**UNCOUNTED)
def _insert(queue, position, count, word, theta, rest):
    """Put a ticket in its place in the order, at `position` or later. Returns as `deepen`."""
    key, threshold, order, _ = queue
    if count == key.size:
        return -1
    key[count] = word
    threshold[count, 0] = to_threshold(theta - rest)
    threshold[count, 1] = to_threshold(theta + rest)
    o = count
    while o > position and key[order[o - 1]] > word:
        order[o] = order[o - 1]
        o -= 1
    order[o] = count
    return count + 1
