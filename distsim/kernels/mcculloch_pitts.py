"""The tickets of a McCulloch-Pitts machine: drawn in order of level, found in order of time.

Ticket k of a neuron has the level G_k / D, G_k a sum of k + 1 standard exponentials, and the time
t_k, uniform in the window of width D = 2^exponent; it fires iff s z >= 2 tau ln(G_k / D). See
`laws.mcculloch_pitts`. `levels.cuh` and `mcculloch_pitts.cuh` are the twins.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.elementary import LN2, exponential, ln, uniform
from distsim.kernels.events import (
    LIMIT,
    MPM_TICK_BITS,
    ONE,
    event_word,
    neuron_of,
    to_threshold,
)
from distsim.kernels.order import by_time
from distsim.kernels.philox import FIRST, TICKET, draw
from distsim.kernels.tickets import Drawn, Held

BINS = 32 * 32 + 1  # of the high half of a level: exponent and 5 bits of the mantissa
BIN_ORIGIN = np.int64((1023 << 5) - 1)
BIN_SHIFT = np.int64(47)


class Source(NamedTuple):
    """What a window's tickets come from: it is 2^exponent wide.

    seed: uint64; window: its number, with its replica's bits; first: of the local neurons; scale:
    2 tau in weight units; rest: float64[n]; end: the event word from which on there are none;
    clamped: int64[c], the local neurons that have none, rising.
    """

    seed: Any
    window: int
    first: int
    exponent: int
    scale: float
    rest: Any
    end: Any
    clamped: Any


class Reach(NamedTuple):
    """How far tickets are drawn at a window's start: by how much s z may rise, and up to where.

    table: int64[BINS], see `lowest_thresholds`; margin, cap: in weight units.
    """

    table: Any
    margin: int
    cap: int


@njit(inline="always")
def first_word(seed, window, neuron):
    """High half of the level of a neuron's ticket 0: four neurons share a draw."""
    a, b, c, d = draw(seed, neuron >> 2, window, 0, FIRST)
    even = c if neuron & 2 else a
    odd = d if neuron & 2 else b
    return odd if neuron & 1 else even


@njit(cache=True)
def first_words(seed, window, first, groups, words):
    """words: uint32[4 groups], `first_word` of the neurons from 4 first on (out)."""
    for group in range(groups):
        a, b, c, d = draw(seed, first + group, window, 0, FIRST)
        words[4 * group] = np.uint32(a)
        words[4 * group + 1] = np.uint32(b)
        words[4 * group + 2] = np.uint32(c)
        words[4 * group + 3] = np.uint32(d)


@njit(inline="always")
def arrival_key(c, d, neuron):
    """The event word of a ticket from its words of time."""
    time = (c << np.uint64(32)) | d
    return event_word((time >> np.uint64(64 - MPM_TICK_BITS)) + ONE, neuron)


@njit(inline="always")
def ticket(seed, window, neuron, k):
    """(standard exponential, event word) of ticket k of a neuron."""
    a, b, c, d = draw(seed, neuron, window, k, TICKET)
    if k == 0:
        a = first_word(seed, window, neuron)
    return exponential(uniform(a, b)), arrival_key(c, d, neuron)


@njit(inline="always")
def level_threshold(level, exponent, scale):
    """2 tau ln(level / D) in weight units: the rate reaches level / D; D = 2^exponent."""
    return (ln(level) - exponent * LN2) * scale


@njit(cache=True)
def lowest_levels():
    """float64[BINS]: ln of the least level of ticket 0, by the bin of its high word."""
    table = np.full(BINS, -np.inf)
    for k in range(1, BINS):
        edge = np.int64((k + BIN_ORIGIN) << BIN_SHIFT).view(np.float64) * 2.0**-32
        table[k] = ln(exponential(edge))
    return table


@njit(cache=True)
def lowest_thresholds(exponent, scale):
    """int64[BINS]: a bound from below on ticket 0's thresholds, by the bin of its high word.

    The 2 units cover the rest of the bias and rounding up; scale * 2^-40 the error of ln.
    """
    table = np.empty(BINS, np.int64)
    table[0] = np.int64(-LIMIT)
    for k in range(1, BINS):
        edge = np.int64((k + BIN_ORIGIN) << BIN_SHIFT).view(np.float64) * 2.0**-32
        bound = level_threshold(exponential(edge), exponent, scale) - scale * 2.0**-40 - 2.0
        table[k] = np.int64(np.floor(max(-LIMIT, min(LIMIT, bound))))
    return table


@njit(inline="always")
def _indices(flags):
    """int64[found]: where flags: bool[n] holds, for most groups of eight nowhere."""
    indices = np.empty(flags.size, np.int64)
    found = 0
    groups = flags[: flags.size & ~7].view(np.uint64)
    for g in range(groups.size):
        if groups[g]:
            for i in range(8 * g, 8 * g + 8):
                indices[found] = i
                found += flags[i]
    for i in range(8 * groups.size, flags.size):
        indices[found] = i
        found += flags[i]
    return indices[:found]


@njit(cache=True)
def screen(source, reach, z, x, bound):
    """Bound ticket 0 of every neuron from below; find the neurons that may reach it.

    bound: as z[n] (out). A candidate has s z + margin >= bound; need: the response up to which it
    needs tickets, in its other state too if it does not end the window by coming there. A clamped
    neuron's bound is beyond all. Returns candidates, need: int64[found].
    """
    table, margin, cap = reach
    n = z.size
    words = np.empty(n + 8, np.uint32)
    flags = np.empty(n, np.bool_)
    zero = z.dtype.type(0)
    offset = source.first & 3
    first_words(source.seed, source.window, source.first >> 2, (n + offset + 3) >> 2, words)
    largest = np.int64(np.iinfo(z.dtype).max)
    for i in range(n):
        bits = np.float64(words[i + offset]).view(np.int64)
        k = max((bits >> BIN_SHIFT) - BIN_ORIGIN, np.int64(0))
        bound[i] = zero + max(min(table[k], largest), -largest)
    for i in range(n):
        sz = np.int64(z[i]) if x[i] == 0 else -np.int64(z[i])
        flags[i] = sz + margin >= bound[i]
    for i in source.clamped:
        flags[i] = False
        bound[i] = largest
    candidates = _indices(flags)
    need = np.empty(candidates.size, np.int64)
    for c in range(candidates.size):
        i = candidates[c]
        sz = np.int64(z[i]) if x[i] == 0 else -np.int64(z[i])
        turns = bound[i] <= sz < -sz <= cap
        need[c] = min(cap, margin + (-sz if turns else sz))
    return candidates, need


@njit(cache=True)
def draw_tickets(source, candidates, need, bound, held, room):
    """Draw the tickets of the candidates up to linear response `need`, in order of level.

    candidates: int64[found] local neurons, each once; need: int64[found], used up; bound: as z[n],
    the threshold of a neuron's first ticket not drawn; held: what there is so far; room: Drawn.
    Returns (slots, tickets, whether there was room for all): if not, make room and call again.
    """
    slot_of, used, count = held
    rest = source.rest
    slots, tickets, order = room
    largest = np.int64(np.iinfo(bound.dtype).max)
    zero = bound.dtype.type(0)
    left = candidates.size
    if used + left > slots.size:
        return used, count, False
    before = used
    present = np.empty(left, np.int64)  # the slots of the candidates that are left
    for c in range(left):
        i = candidates[c]
        if slot_of[i] < 0:
            slot_of[i] = used
            slots[used].neuron = i
            slots[used].depth = 0
            slots[used].level = 0.0
            used += 1
        present[c] = slot_of[i]
    _next_tickets(source, np.arange(before, used), slots)
    while left:
        if count + left > tickets.size:
            return used, count, False
        more = 0
        for c in range(left):
            a = present[c]
            i = slots[a].neuron
            theta = slots[a].theta
            low = to_threshold(theta - abs(rest[i]))
            if low > need[c]:
                bound[i] = zero + max(min(low, largest), -largest)
                continue
            if slots[a].key < source.end:
                tickets[count].key = slots[a].key
                tickets[count].slot = a
                tickets[count].threshold[0] = to_threshold(theta - rest[i])
                tickets[count].threshold[1] = to_threshold(theta + rest[i])
                count += 1
            slots[a].depth += 1
            present[more] = a
            need[more] = need[c]
            more += 1
        left = more
        _next_tickets(source, present[:left], slots)
    by_time(tickets[:count].key, order)
    return used, count, True


@njit(cache=True, error_model="numpy")  # checks of divisors would keep the loop from vectors
def _next_tickets(source, present, slots):
    """Draw the next ticket of the slots `present`, int64[present]."""
    seed, window, first, exponent, scale, _, _, _ = source
    neuron = np.empty(present.size, np.int64)
    depth = np.empty(present.size, np.int64)
    level = np.empty(present.size)
    theta = np.empty(present.size)
    key = np.empty(present.size, np.uint64)
    for c in range(present.size):
        a = present[c]
        neuron[c] = first + slots[a].neuron
        depth[c] = slots[a].depth
        level[c] = slots[a].level
    for c in range(present.size):
        step, key[c] = ticket(seed, window, neuron[c], depth[c])
        level[c] += step
        theta[c] = level_threshold(level[c], exponent, scale)
    for c in range(present.size):
        a = present[c]
        slots[a].level = level[c]
        slots[a].theta = theta[c]
        slots[a].key = key[c]


@njit(cache=True)
def arrivals(source, reach, z, x, bound, held, room):
    """The tickets of the neurons that may fire if no s z rises by more than the margin.

    held: what there was before, which is given up. See `screen`; returns what `draw_tickets` does.
    """
    source, reach = Source(*source), Reach(*reach)
    held, room = Held(*held), Drawn(*room)
    for a in range(held.slots):
        held.slot_of[room.slots[a].neuron] = -1
    candidates, need = screen(source, reach, z, x, bound)
    return draw_tickets(source, candidates, need, bound, Held(held.slot_of, 0, 0), room)


@njit(cache=True)
def reached(source, cap, x, events, bounds, bound):
    """Neurons that may have reached a ticket not drawn, and a bound on all s z on the way.

    A neuron with events counts with both signs, a clamped one not at all. Returns candidates, need:
    int64[found], and the bound.
    """
    high, low = bounds
    n = x.size
    flags = np.empty(n, np.bool_)
    top = np.int64(-LIMIT)
    start = 0
    for c in range(source.clamped.size + 1):
        stop = source.clamped[c] if c < source.clamped.size else n
        for i in range(np.uint64(start), np.uint64(stop)):  # unsigned: none from the end
            reach = np.int64(high[i]) if x[i] == 0 else -np.int64(low[i])
            top = max(top, reach)
            flags[i] = min(reach, cap) >= bound[i]
        if stop < n:
            flags[stop] = False
        start = stop + 1
    for e in range(events.size):
        i = neuron_of(events[e]) - source.first
        if 0 <= i < n:
            reach = max(np.int64(high[i]), -np.int64(low[i]))
            top = max(top, reach)
            flags[i] = min(reach, cap) >= bound[i]
    candidates = _indices(flags)
    need = np.empty(candidates.size, np.int64)
    for c in range(candidates.size):
        i = candidates[c]
        need[c] = min(cap, max(np.int64(high[i]), -np.int64(low[i])))
    return candidates, need, top


@njit(cache=True)
def more_arrivals(source, cap, x, events, bounds, bound, held, room):
    """The tickets that responses between their bounds may reach.

    See `reached`; returns what `draw_tickets` does, and a bound on all s z.
    """
    source, held, room = Source(*source), Held(*held), Drawn(*room)
    candidates, need, top = reached(source, cap, x, events, bounds, bound)
    slots, tickets, done = held.slots, held.tickets, True
    if candidates.size:
        slots, tickets, done = draw_tickets(source, candidates, need, bound, held, room)
    return slots, tickets, done, top


@njit(cache=True)
def largest_response(z, x, clamped):
    """The largest s z of the local neurons that are not clamped; -2^62 if there are none.

    clamped: int64[c], rising.
    """
    top = np.int64(-LIMIT)
    start = 0
    for c in range(clamped.size + 1):
        stop = clamped[c] if c < clamped.size else z.size
        for i in range(np.uint64(start), np.uint64(stop)):
            top = max(top, np.int64(z[i]) if x[i] == 0 else -np.int64(z[i]))
        start = stop + 1
    return top
