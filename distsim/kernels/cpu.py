"""The compiled loops on the CPU (Numba).

`kernels/cuda.py` has those of weights by the same names; a chain's on GPUs (`*.cuh`) name their
twins here.

Symbols, for a rank that owns n of the N neurons, the first being `first` (global index):

    weights: int8/16/32[N, n]   column by column: weights[j, i] onto local neuron i from neuron j;
                                zeros may follow the n
    z: int32/64[n]              linear responses with the integer part of the bias, in weight units
    rest: float64[n]            the rest of the bias in weight units, in [-1/2, 1/2]
    x: uint8[n]                 states; s = 1 - 2 x
    event: uint64               tick << 23 | neuron << 1 | new state (global neuron)
    ticket: event word with state 0, a slot (an index of `neurons`, the neurons that hold tickets),
            and two thresholds, for state 0 and 1: it fires iff s z >= threshold[x]

Ticks count time in the window from 1, in 2^-40 of its width (MPM) or in steps (BM); so no event
is 0.
"""

import numpy as np
from numba import njit

from distsim.elementary import LN2, exponential, ln, normal_pair, uniform
from distsim.kernels import cache
from distsim.philox import FIRST, PATTERN, STATE, TICKET, UPDATE, VISIT, WEIGHT, draw

cache.settle()

NEURON_BITS = 22
MPM_TICK_BITS = 40  # a window of the MPM has 2^40 ticks, counted from 1
NO_EVENT = np.uint64(0xFFFFFFFFFFFFFFFF)
LIMIT = 2.0**62  # thresholds beyond any linear response are cut to it

_ONE = np.uint64(1)
_STATE_AND_NEURON = np.uint64(NEURON_BITS + 1)
_NEURON_MASK = np.uint64((1 << NEURON_BITS) - 1)
BINS = 32 * 32 + 1  # of the high half of a level: exponent and 5 bits of the mantissa
BIN_ORIGIN = np.int64((1023 << 5) - 1)
BIN_SHIFT = np.int64(47)


# ---------------------------------------------------------------------------------------- events
@njit(inline="always")
def neuron_of(event):
    """Global neuron of an event."""
    return np.int64((event >> _ONE) & _NEURON_MASK)


@njit(inline="always")
def sign_of(event):
    """+1 if the neuron came into state 1, -1 if into state 0: the factor of its column."""
    return np.int64(2) * np.int64(event & _ONE) - np.int64(1)


@njit(inline="always")
def tick_of(event):
    return np.int64(event >> _STATE_AND_NEURON)


@njit(inline="always")
def event_word(tick, neuron):
    return (np.uint64(tick) << _STATE_AND_NEURON) | (np.uint64(neuron) << _ONE)


@njit(inline="always")
def to_threshold(value):
    """Smallest integer at or above a real threshold, cut to +-2^62."""
    if value > LIMIT:
        return np.int64(LIMIT)
    if value < -LIMIT:
        return np.int64(-LIMIT)
    return np.int64(np.ceil(value))


# ----------------------------------------------------------------------- tickets of the MPM
@njit(inline="always")
def first_word(seed, window, neuron):
    """High half of the level of a neuron's ticket 0: four neurons share a draw."""
    a, b, c, d = draw(seed, neuron >> 2, window, 0, FIRST)
    k = neuron & 3
    return a if k == 0 else b if k == 1 else c if k == 2 else d


@njit(inline="always")
def ticket(seed, window, neuron, k):
    """(standard exponential, event word) of ticket k of a neuron."""
    a, b, c, d = draw(seed, neuron, window, k, TICKET)
    if k == 0:
        a = first_word(seed, window, neuron)
    time = (c << np.uint64(32)) | d
    return exponential(uniform(a, b)), event_word(
        (time >> np.uint64(64 - MPM_TICK_BITS)) + _ONE, neuron
    )


@njit(inline="always")
def level_threshold(level, exponent, scale):
    """2 tau ln(level / D) in weight units: the rate reaches level / D; D = 2^exponent."""
    return (ln(level) - exponent * LN2) * scale


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
def _indices(flags, indices):
    """indices: int64[n] (out), where flags: bool[n] holds. Returns how many."""
    found = 0
    for i in range(flags.size):
        indices[found] = i
        found += flags[i]
    return found


@njit(cache=True)
def screen(seed, window, first, table, margin, cap, words, flags, bound, z, x, candidates, need):
    """Bound ticket 0 of every neuron from below; find the neurons that may reach it.

    words: uint32[n + 8], flags: bool[n] work space; bound: as z[n] (out). A candidate has
    s z + margin >= bound; need: the response up to which it needs tickets, in its other state too
    if it does not end the window by coming there. candidates, need: int64[n] (out). Returns how
    many.
    """
    n = z.size
    zero = z.dtype.type(0)
    offset = first & 3
    for group in range((n + offset + 3) >> 2):
        a, b, c, d = draw(seed, (first >> 2) + group, window, 0, FIRST)
        words[4 * group] = np.uint32(a)
        words[4 * group + 1] = np.uint32(b)
        words[4 * group + 2] = np.uint32(c)
        words[4 * group + 3] = np.uint32(d)
    largest = np.int64(np.iinfo(z.dtype).max)
    for i in range(n):
        bits = np.float64(words[i + offset]).view(np.int64)
        k = max((bits >> BIN_SHIFT) - BIN_ORIGIN, np.int64(0))
        bound[i] = zero + max(min(table[k], largest), -largest)
    for i in range(n):
        sz = np.int64(z[i]) if x[i] == 0 else -np.int64(z[i])
        flags[i] = sz + margin >= bound[i]
    found = _indices(flags, candidates)
    for c in range(found):
        i = candidates[c]
        sz = np.int64(z[i]) if x[i] == 0 else -np.int64(z[i])
        turns = bound[i] <= sz < -sz <= cap
        need[c] = min(cap, margin + (-sz if turns else sz))
    return found


@njit(cache=True)
def first_tickets(seed, window, first, exponent, scale, rest, bound):
    """Exact lowest threshold of every neuron, of both states: bound int64[n] (out)."""
    for i in range(bound.size):
        level, _ = ticket(seed, window, first + i, 0)
        theta = level_threshold(level, exponent, scale)
        bound[i] = to_threshold(theta - abs(rest[i]))


@njit(cache=True)
def deepen(
    seed,
    window,
    first,
    exponent,
    scale,
    rest,
    candidates,
    need,
    found,
    bound,
    slot_of,
    slots,
    neurons,
    depth,
    level,
    coming,
    count,
    keys,
    slot,
    threshold,
):
    """Draw the tickets of `found` candidates up to linear response `need`, in order of level.

    candidates: int64[found] local neurons; need: int64[found]; bound: as z[n], the threshold of
    a neuron's first ticket not drawn; slot_of: int32[n], -1 for a neuron without tickets;
    neurons, depth: int64[slots], level: float64[slots], coming: uint64[slots]: neuron, tickets
    drawn, level and key of the next ticket of each slot;
    keys: uint64[count], slot: int64[count], threshold: int64[count, 2].
    Returns (slots, tickets); the latter negative if there was no room for them: call again.
    """
    largest = np.int64(np.iinfo(bound.dtype).max)
    zero = bound.dtype.type(0)
    for c in range(found):
        i = candidates[c]
        a = np.int64(slot_of[i])
        if a < 0:
            if slots == neurons.size:
                return slots, -count - 1
            a = slots
            slots += 1
            slot_of[i] = a
            neurons[a] = i
            depth[a] = 0
            level[a], coming[a] = ticket(seed, window, first + i, 0)
        while True:
            theta = level_threshold(level[a], exponent, scale)
            low = to_threshold(theta - abs(rest[i]))
            if low > need[c]:
                bound[i] = zero + max(min(low, largest), -largest)
                break
            if count == keys.size:
                return slots, -count - 1
            keys[count] = coming[a]
            slot[count] = a
            threshold[count, 0] = to_threshold(theta - rest[i])
            threshold[count, 1] = to_threshold(theta + rest[i])
            count += 1
            depth[a] += 1
            step, coming[a] = ticket(seed, window, first + i, depth[a])
            level[a] += step
    return slots, count


@njit(cache=True)
def earliest_arrival(
    seed, window, first, exponent, scale, rest, bound, cap, z, x, last, last_ticket
):
    """The race of the MPM: earliest ticket after (last, last_ticket) that fires at the present z.

    bound: int64[n] lowest thresholds. Returns (event word, ticket), (NO_EVENT, 0) for none, or
    (0, 0) if some s z is above `cap`: the window must end.
    """
    last &= ~_ONE
    best = NO_EVENT
    best_ticket = 0
    for i in range(z.size):
        sz = np.int64(z[i]) if x[i] == 0 else -np.int64(z[i])
        if sz > cap:
            return np.uint64(0), 0
        if sz < bound[i]:
            continue
        level = 0.0
        k = 0
        while True:
            step, key = ticket(seed, window, first + i, k)
            level += step
            theta = level_threshold(level, exponent, scale)
            if sz < to_threshold(theta - abs(rest[i])):
                break
            fires = sz >= to_threshold(theta - rest[i] if x[i] == 0 else theta + rest[i])
            later = key > last or (key == last and k > last_ticket)
            if fires and later and key < best & ~_ONE:
                best = key | np.uint64(1 - x[i])
                best_ticket = k
            k += 1
    return best, best_ticket


# ------------------------------------------------------------------------ tickets of the BM
@njit(inline="always")
def visited(seed, step, neurons, sequential):
    """The neuron that step `step` (from 0) visits: step mod N, or uniform (multiply-high)."""
    if sequential:
        return step % neurons
    a, b, _, _ = draw(seed, 0, step, 0, VISIT)
    n = np.uint64(neurons)
    return np.int64((a * n + ((b * n) >> np.uint64(32))) >> np.uint64(32))


@njit(cache=True)
def visits(
    seed,
    start,
    steps,
    neurons_total,
    sequential,
    first,
    n,
    scale,
    rest,
    slot_of,
    slots,
    neurons,
    keys,
    slot,
    threshold,
):
    """The tickets of `steps` steps from `start` on that visit local neurons, one a step.

    scale = T / unit. At scale 0 a neuron follows the sign of z and keeps its state at z = 0.
    Returns (slots, tickets).
    """
    count = 0
    for step in range(start, start + steps):
        i = visited(seed, step, neurons_total, sequential) - first
        if i < 0 or i >= n:
            continue
        a = np.int64(slot_of[i])
        if a < 0:
            a = slots
            slots += 1
            slot_of[i] = a
            neurons[a] = i
        if scale > 0.0:
            w0, w1, _, _ = draw(seed, first + i, step, 0, UPDATE)
            u = uniform(w0, w1)
            up = to_threshold(scale * (ln(u) + exponential(u)) - rest[i])
            threshold[count, 0] = up
            threshold[count, 1] = 1 - up
        else:
            threshold[count, 0] = np.int64(np.floor(-rest[i])) + 1
            threshold[count, 1] = np.int64(np.floor(rest[i])) + 1
        keys[count] = event_word(step - start + 1, first + i)
        slot[count] = a
        count += 1
    return slots, count


@njit(cache=True)
def earliest_visit(keys, slot, threshold, neurons, order, position, z, x, last):
    """The race of the BM: earliest visit after event `last` that changes a state at the present z.

    Returns (event word or NO_EVENT, its place in `order`); visits before it are done with.
    """
    while position < order.size and keys[order[position]] <= last:
        position += 1
    for o in range(position, order.size):
        t = order[o]
        i = neurons[slot[t]]
        total = np.int64(z[i])
        if (total if x[i] == 0 else -total) >= threshold[t, x[i]]:
            return keys[t] | np.uint64(1 - x[i]), position
    return NO_EVENT, position


# ------------------------------------------------------------------------------ one window
@njit(cache=True)
def guess(z, x, neurons, slots, slot, threshold, keys, order, most, states, local):
    """The local events if no neuron had inputs: a first guess for the replays.

    order: int64[tickets], the tickets by time; states: uint8[slots] work space; local: uint64
    (out). Returns how many events, at most `most`.
    """
    for a in range(slots):
        states[a] = x[neurons[a]]
    made = 0
    for o in range(order.size):
        t = order[o]
        a = slot[t]
        z_start = np.int64(z[neurons[a]])
        if (z_start if states[a] == 0 else -z_start) >= threshold[t, states[a]]:
            states[a] = 1 - states[a]
            local[made] = keys[t] | np.uint64(states[a])
            made += 1
            if made == most:
                break
    return made


@njit(cache=True)
def replay(
    weights,
    diagonal,
    z,
    x,
    first,
    neurons,
    slots,
    high,
    low,
    keys,
    slot,
    threshold,
    order,
    events,
    most,
    cap,
    sums,
    states,
    seen,
    tops,
    bottoms,
    columns,
    signs,
    local,
):
    """Run the local neurons through their tickets, in order of time, against `events`.

    order: int64[tickets], the tickets by time; events: uint64[K], the events of other ranks by
    time; high, low: bounds on z, as z[n]: a threshold beyond them is taken to be beyond z. sums:
    int64, states: uint8, seen: int64 [slots] work space: z and x of each slot after the first
    `seen` merged events; columns: uint64, signs: int64, of the merged events. The window ends
    right after the `most`-th local event, or an event that lifts its own neuron's s z above `cap`.
    tops, bottoms: int64[slots] (out), the bounds of each slot; local: uint64 (out).
    Returns (made, stop): how many local events, and the event after which the window ends
    (NO_EVENT: its width).
    """
    for a in range(slots):
        sums[a] = z[neurons[a]]
        states[a] = x[neurons[a]]
        seen[a] = 0
        tops[a] = high[neurons[a]]
        bottoms[a] = low[neurons[a]]
    count = 0
    made = 0
    remote = 0
    for o in range(order.size):
        t = order[o]
        key = keys[t]
        while remote < events.size and events[remote] < key:
            columns[count] = (events[remote] >> _ONE) & _NEURON_MASK
            signs[count] = sign_of(events[remote])
            count += 1
            remote += 1
        a = slot[t]
        i = neurons[a]
        state = states[a]
        s = 1 - 2 * np.int64(state)
        least = bottoms[a] if state == 0 else -tops[a]
        largest = tops[a] if state == 0 else -bottoms[a]
        if largest < threshold[t, state]:
            continue
        # Fires for sure, and does not end the window.
        clear = least >= threshold[t, state] and abs(np.int64(diagonal[i])) - least <= cap
        if not clear:
            total = sums[a]
            for e in range(seen[a], count):
                total += signs[e] * np.int64(weights[columns[e], np.uint64(i)])
            sums[a] = total
            seen[a] = count
            if s * total < threshold[t, state]:
                continue
        states[a] = 1 - state
        local[made] = key | np.uint64(states[a])
        columns[count] = np.uint64(first + i)
        signs[count] = s
        count += 1
        made += 1
        crosses = not clear and -s * (total + s * np.int64(diagonal[i])) > cap
        if made == most or crosses:
            return made, local[made - 1]
    return made, NO_EVENT


@njit(cache=True)
def sweep(
    weights,
    sequential,
    z,
    x,
    neurons,
    slots,
    keys,
    slot,
    threshold,
    events,
    sums,
    states,
    local,
):
    """`replay` for a BM, whose tickets come by time: each event's column is pushed to the slots.

    The neurons of a sequential scan follow each other, and then that is one short vector.
    events: uint64[K], the events of other ranks by time; sums: int64, states: uint8 [slots] work
    space; local: uint64 (out). Returns how many local events.
    """
    for a in range(slots):
        sums[a] = z[neurons[a]]
        states[a] = x[neurons[a]]
    once = sequential and slots == keys.size
    in_a_row = once and slots > 0 and neurons[slots - 1] - neurons[0] == slots - 1
    made = 0
    remote = 0
    for t in range(keys.size):
        a = slot[t]
        while remote < events.size and events[remote] < keys[t]:
            _push(weights, events[remote], neurons, a, slots, in_a_row, sums)
            remote += 1
        state = states[a]
        if (sums[a] if state == 0 else -sums[a]) >= threshold[t, state]:
            states[a] = 1 - state
            local[made] = keys[t] | np.uint64(states[a])
            _push(weights, local[made], neurons, a, slots, in_a_row, sums)
            made += 1
    return made


@njit(inline="always")
def _push(weights, event, neurons, present, slots, in_a_row, sums):
    """Add an event's column to the sums; slots in a row are done before the present one."""
    w = weights[neuron_of(event)]
    s = sign_of(event)
    if in_a_row:
        part = w[neurons[0] + present : neurons[0] + slots]
        to = sums[present:slots]
        for k in range(part.size):
            to[k] += s * np.int64(part[k])
    else:
        for a in range(slots):
            sums[a] += s * np.int64(w[neurons[a]])


@njit(cache=True)
def merge(parts, counts, rank, stop, most, events, remote):
    """Merge the ranks' events, each by time, up to event `stop` and at most `most`.

    parts: uint64[ranks, ...], of which counts: int64[ranks] words are events. events, remote:
    uint64 (out): those of all ranks, and of all but `rank`. Returns how many of each.
    """
    heads = np.zeros(counts.size, np.int64)
    kept = 0
    others = 0
    while kept < most:
        least = NO_EVENT
        source = -1
        for r in range(counts.size):
            if heads[r] < counts[r] and parts[r, heads[r]] < least:
                least = parts[r, heads[r]]
                source = r
        if source < 0 or least >> _ONE > stop >> _ONE:
            break
        heads[source] += 1
        events[kept] = least
        kept += 1
        if source != rank:
            remote[others] = least
            others += 1
    return kept, others


@njit(cache=True)
def unsettled(
    weights,
    z,
    x,
    first,
    neurons,
    keys,
    slot,
    threshold,
    drawn,
    count,
    tops,
    bottoms,
    high,
    low,
    events,
    end,
):
    """Whether a ticket that the last replay did not look at closely disagrees with its events.

    These are the tickets from `drawn` to `count`, new since, and those with a threshold within the
    present bounds on z, high and low, but beyond those of the replay, tops and bottoms of each
    slot. events: uint64[K], by time; tickets after the event `end` do not count.
    """
    for t in range(count):
        if keys[t] > end:
            continue
        a = slot[t]
        i = neurons[a]
        new = t >= drawn
        if not new:
            up, down = threshold[t, 0], -threshold[t, 1]
            armed = low[i] < up <= high[i] and not bottoms[a] < up <= tops[a]
            refractory = low[i] <= down < high[i] and not bottoms[a] <= down < tops[a]
            if not (armed or refractory):
                continue
        total = np.int64(z[i])
        state = x[i]
        e = 0
        while e < events.size and events[e] < keys[t]:
            total += sign_of(events[e]) * np.int64(weights[neuron_of(events[e]), i])
            if neuron_of(events[e]) == first + i:
                state = np.uint8(events[e] & _ONE)
            e += 1
        fires = (total if state == 0 else -total) >= threshold[t, state]
        fired = e < events.size and events[e] & ~_ONE == keys[t]
        if fires != fired or (new and fired):
            return True
    return False


@njit(inline="always")
def _column(weights, events, k, none):
    """The column of event k; past the last event `none`, which is all zeros."""
    return weights[neuron_of(events[k])] if k < events.size else none


@njit(inline="always")
def _mask(events, k, kind):
    """0 or -1: w ^ mask is the weight w times the sign of event k, or that less 1."""
    return kind(sign_of(events[k]) >> 1) if k < events.size else kind(0)


@njit(inline="always")
def _columns(weights, events, k, none):
    """The columns of twelve events from event k on."""
    return (
        _column(weights, events, k, none),
        _column(weights, events, k + 1, none),
        _column(weights, events, k + 2, none),
        _column(weights, events, k + 3, none),
        _column(weights, events, k + 4, none),
        _column(weights, events, k + 5, none),
        _column(weights, events, k + 6, none),
        _column(weights, events, k + 7, none),
        _column(weights, events, k + 8, none),
        _column(weights, events, k + 9, none),
        _column(weights, events, k + 10, none),
        _column(weights, events, k + 11, none),
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


@njit(inline="always")
def _added(kind, value, high, low, weight, mask):
    """A sum after one more event, short by 1 if that is subtracted, and its extremes so far."""
    value = kind(value + (kind(weight) ^ mask))
    return value, max(high, value), min(low, value)


@njit(cache=True)
def apply(weights, events, z, end, high, low):
    """Add the columns of `events` to z, with bounds on the way.

    end = z + columns; high, low: bounds on z of each neuron over the window, start included, at
    most 12 units wide of its extremes, since sums are short by the subtractions of their pass. All
    as z[n]. Twelve columns a pass keep the sums in registers and are, with z and its bounds, about
    as many streams as a core prefetches.
    """
    n = z.size
    kind = z.dtype.type
    none = np.zeros(n, weights.dtype)
    for i in range(n):  # three copies cost three times as much
        end[i] = high[i] = low[i] = z[i]
    for k in range(0, events.size, 12):
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11 = _columns(weights, events, k, none)
        m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11 = _masks(events, k, kind)
        short = -(m0 + m1 + m2 + m3 + m4 + m5 + m6 + m7 + m8 + m9 + m10 + m11)
        for i in range(n):
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


@njit(cache=True)
def accumulate(weights, events, z):
    """Add the columns of `events` to z[n], in place: twelve a pass, as in `apply`; a few singly."""
    n = z.size
    kind = z.dtype.type
    few = events.size % 12 if events.size % 12 < 5 else 0
    for k in range(events.size - few, events.size):
        w = weights[neuron_of(events[k])]
        m = _mask(events, k, kind)
        for i in range(n):
            z[i] += kind((kind(w[i]) ^ m) - m)
    if few == events.size:
        return
    none = np.zeros(n, weights.dtype)
    for k in range(0, events.size - few, 12):
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11 = _columns(weights, events, k, none)
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
def difference(before, after, changes):
    """What leads from the events `before` to the events `after`, both by time.

    changes: uint64[before.size + after.size] (out): the events to add, and those to take back with
    the other state, so that their columns count with the other sign. Returns how many.
    """
    count = 0
    a = 0
    b = 0
    while a < before.size or b < after.size:
        if a < before.size and b < after.size and before[a] == after[b]:
            a += 1
            b += 1
            continue
        if b == after.size or (a < before.size and before[a] < after[b]):
            changes[count] = before[a] ^ _ONE
            a += 1
        else:
            changes[count] = after[b]
            b += 1
        count += 1
    return count


@njit(cache=True)
def adjust(weights, changes, end, high, low):
    """Add the columns of `changes` to `end`, and widen the bounds by all that they may move z.

    So high and low stay bounds, whatever the order of the events. All as z[n].
    """
    kind = end.dtype.type
    none = np.zeros(end.size, weights.dtype)
    for k in range(0, changes.size, 4):
        w0 = _column(weights, changes, k, none)
        w1 = _column(weights, changes, k + 1, none)
        w2 = _column(weights, changes, k + 2, none)
        w3 = _column(weights, changes, k + 3, none)
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


@njit(cache=True)
def reached(x, first, events, high, low, bound, cap, flags, candidates, need):
    """Neurons that may have reached a ticket not drawn, and a bound on all s z on the way.

    A neuron with events counts with both signs. flags: bool[n] work space; candidates, need:
    int64[n + events] (out). Returns (how many, bound).
    """
    top = np.int64(-LIMIT)
    for i in range(x.size):
        reach = np.int64(high[i]) if x[i] == 0 else -np.int64(low[i])
        top = max(top, reach)
        flags[i] = min(reach, cap) >= bound[i]
    found = _indices(flags, candidates)
    for c in range(found):
        i = candidates[c]
        need[c] = min(cap, np.int64(high[i]) if x[i] == 0 else -np.int64(low[i]))
    for e in range(events.size):
        i = neuron_of(events[e]) - first
        if 0 <= i < x.size:
            reach = -np.int64(low[i]) if x[i] == 0 else np.int64(high[i])
            top = max(top, reach)
            if min(reach, cap) >= bound[i]:
                candidates[found] = i
                need[found] = min(reach, cap)
                found += 1
    return found, top


@njit(cache=True)
def largest_response(z, x):
    """The largest s z of the local neurons; -2^62 if there are none."""
    top = np.int64(-LIMIT)
    for i in range(z.size):
        top = max(top, np.int64(z[i]) if x[i] == 0 else -np.int64(z[i]))
    return top


@njit(cache=True)
def crossing(weights, events, z, x, first, high, low, cap):
    """Index of the first event after which some s z is above `cap`; events.size if none."""
    best = events.size
    for i in range(z.size):
        if max(np.int64(high[i]), -np.int64(low[i])) <= cap:
            continue
        total = np.int64(z[i])
        state = x[i]
        for e in range(best):
            j = neuron_of(events[e])
            total += sign_of(events[e]) * np.int64(weights[j, i])
            if j == first + i:
                state = 1 - state
            if (total if state == 0 else -total) > cap:
                best = e
                break
    return best


@njit(cache=True)
def commit(events, first, x):
    """Change the states of the local neurons: x[n] in place."""
    for e in range(events.size):
        i = neuron_of(events[e]) - first
        if 0 <= i < x.size:
            x[i] = np.uint8(events[e] & _ONE)


# ------------------------------------------------------------------------- output of events
@njit(cache=True)
def event_times(events, high, low, tick, offset, times):
    """times: float64[events] = high + (low + (ticks + offset) * tick) (out).

    (high, low): start of the window as a double-double; tick: model time of a tick.
    """
    for k in range(events.size):
        times[k] = high + (low + (np.float64(tick_of(events[k])) + offset) * tick)


@njit(inline="always")
def mix(h):
    """The finaliser of splitmix64 (see digest.py)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@njit(cache=True)
def unpack(events, times, position, start, time, neuron, state):
    """Unpack events into the columns, from `start` on. Returns the events' part of the digest.

    times: float64[events]; `position` events came before; time: float64, neuron: int64,
    state: uint8 (out). See digest.py.
    """
    total = np.uint64(0)
    for k in range(events.size):
        to = start + k
        time[to] = times[k]
        neuron[to] = neuron_of(events[k])
        state[to] = np.uint8(events[k] & _ONE)
        index = np.uint64(position + k) * np.uint64(0x9E3779B97F4A7C15)
        word = mix(np.float64(times[k]).view(np.uint64) + index)
        total += mix(word + np.uint64(2 * neuron[to] + state[to]))
    return total


# -------------------------------------------------------------------------------- networks
@njit(cache=True)
def multiply(weights, x, z):
    """z[n] += W x for the global states x: uint8[N]."""
    kind = z.dtype.type
    for j in range(x.size):
        if x[j]:
            w = weights[j]
            for i in range(z.size):
                z[i] += kind(w[i])


def columns(neurons, n, bits):
    """Room for a rank's weights: int8/16/32[N, n], with a few zeros after some columns.

    Columns a multiple of 2 KiB apart would crowd the same places of the caches.
    """
    spare = 64 * 8 // bits if n and n * bits // 8 % 2048 == 0 else 0
    weights = np.empty((neurons, n + spare), f"int{bits}")
    weights[:, n:] = 0
    return weights


def store_rows(rows, start, weights):
    """Put a tile of rows, integers[count, N], at local neuron `start`."""
    weights[:, start : start + len(rows)] = rows.T


@njit(cache=True)
def magnitudes(weights, absolute):
    """absolute: int64[n] = sum over j of |weights[j, i]| (out). Returns the sum of squares."""
    squares = 0.0
    absolute[:] = 0
    for j in range(weights.shape[0]):
        w = weights[j]
        for i in range(absolute.size):
            a = abs(np.int64(w[i]))
            absolute[i] += a
            squares += np.float64(a) * np.float64(a)
    return squares


@njit(cache=True)
def gaussian_rows(seed, start, stop, neurons, scale, symmetric):
    """float64[stop - start, neurons]: rows of the Gaussian network's W."""
    rows = np.empty((stop - start, neurons))
    words = np.empty(2 * (stop - start) + 8, np.uint32)
    deviates = np.empty(words.size)
    for j in range(neurons):
        _gaussian_column(seed, start, stop, j, scale, symmetric, words, deviates)
        rows[:, j] = deviates[: stop - start]
    return rows


@njit(cache=True)
def fill_gaussian(seed, first, stop, scale, unit, symmetric, weights):
    """The Gaussian network's rows first .. stop - 1, weights[N, n] (out), in weight units."""
    n = stop - first
    kind = weights.dtype.type
    words = np.empty(2 * n + 8, np.uint32)
    deviates = np.empty(words.size)
    for j in range(weights.shape[0]):
        column = weights[j]
        _gaussian_column(seed, first, stop, j, scale, symmetric, words, deviates)
        for i in range(n):
            column[i] = kind(np.rint(deviates[i] / unit))


@njit(cache=True)
def _gaussian_column(seed, start, stop, j, scale, symmetric, words, deviates):
    """deviates[: stop - start] = W[start:stop, j]; of a symmetric W the function of (min, max).

    A draw gives four deviates, onto the neurons 4 g .. 4 g + 3 from j. words: uint32, deviates:
    float64 [2 (stop - start) + 8] work space.
    """
    upper = max(start, min(stop, j)) if symmetric else stop  # below it the draws are named (i, j)
    offset = start & 3
    groups = (upper - start + offset + 3) >> 2
    for g in range(groups):
        a, b, c, d = draw(seed, (start >> 2) + g, j, 0, WEIGHT)
        words[4 * g] = np.uint32(a)
        words[4 * g + 1] = np.uint32(b)
        words[4 * g + 2] = np.uint32(c)
        words[4 * g + 3] = np.uint32(d)
    _normals(words, 2 * groups, deviates)
    for i in range(upper - start):
        deviates[i] = scale * deviates[i + offset]
    if upper == stop:
        return
    lower = max(start, j)  # from here on (j, i): one deviate of each draw
    rest = stop - lower
    for k in range(rest):
        a, b, c, d = draw(seed, j >> 2, lower + k, 0, WEIGHT)
        words[2 * k] = np.uint32(a) if j & 2 == 0 else np.uint32(c)
        words[2 * k + 1] = np.uint32(b) if j & 2 == 0 else np.uint32(d)
    tail = deviates[upper - start :]
    _normals(words, rest, tail)
    for k in range(rest):
        tail[k] = scale * tail[2 * k + (j & 1)]
    if lower == j:
        tail[0] = 0.0


@njit(cache=True)
def _normals(words, pairs, deviates):
    """Two standard normal deviates of each pair of words."""
    for p in range(pairs):
        deviates[2 * p], deviates[2 * p + 1] = normal_pair(words[2 * p], words[2 * p + 1])


@njit(cache=True)
def random_patterns(seed, count, neurons):
    """uint8[count, neurons]: random patterns of zeros and ones."""
    patterns = np.empty((count, neurons), np.uint8)
    for p in range(count):
        for i in range(neurons):
            patterns[p, i] = _bit(seed, i, p, PATTERN)
    return patterns


@njit(cache=True)
def random_states(seed, first, x):
    """Independent fair states, x: uint8[n] (out)."""
    for i in range(x.size):
        x[i] = _bit(seed, first + i, 0, STATE)


@njit(inline="always")
def _bit(seed, neuron, count, purpose):
    a, b, c, d = draw(seed, neuron >> 2, count, 0, purpose)
    k = neuron & 3
    return np.uint8((a if k == 0 else b if k == 1 else c if k == 2 else d) & _ONE)


@njit(inline="always")
def _factor(k):
    """The k-th of a sequence of odd numbers without a pattern."""
    return mix(np.uint64(k) * np.uint64(0x9E3779B97F4A7C15)) | _ONE


@njit(cache=True)
def weights_digest(weights, first):
    """sum over i, j of W_ij a_i b_j modulo 2^64: a sum that does not depend on who adds up.

    weights: int[N, n] of the neurons from `first` on. a_i, b_j are odd, so that a change of one
    weight always changes the sum.
    """
    width = weights.shape[1]
    factors = np.empty(width, np.uint64)
    for i in range(width):
        factors[i] = _factor(2 * (first + i) + 1)
    total = np.uint64(0)
    for j in range(weights.shape[0]):
        w = weights[j]
        column = np.uint64(0)
        for i in range(width):
            column += np.uint64(np.int64(w[i])) * factors[i]
        total += column * _factor(2 * j + 2)
    return total
