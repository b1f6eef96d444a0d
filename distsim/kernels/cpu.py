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
    tickets: TICKET_KIND[tickets]: event word with state 0, a slot, and two thresholds, for state
            0 and 1: it fires iff s z >= threshold[x]; order: int64[tickets], by time
    slots: SLOT_KIND[slots]: the neurons that hold tickets; slot_of: int32[n], -1 for the others
    room: (slots, tickets, order), arrays of one length with room for more
    source: (seed, window, first, exponent, scale, rest), what the tickets of an MPM come from: its
            window is 2^exponent wide; scale = 2 tau in weight units

Ticks count time in the window from 1, in 2^-40 of its width (MPM) or in steps (BM); so no event
is 0.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from distsim.elementary import LN2, exponential, ln, normal_pair, uniform
from distsim.kernels import cache
from distsim.philox import FIRST, PATTERN, STATE, TICKET, UPDATE, VISIT, WEIGHT, draw

cache.settle()

NEURON_BITS = 22
MPM_TICK_BITS = 40  # a window of the MPM has 2^40 ticks, counted from 1
NO_EVENT = np.uint64(0xFFFFFFFFFFFFFFFF)
LIMIT = 2.0**62  # thresholds beyond any linear response are cut to it
PASS = 12  # columns that `apply` adds at a time, as written out in `_columns`
_LINE = 64  # bytes that come into a cache together
_AHEAD = 4  # visits for which a sweep prefetches
_AHEAD_LINES = np.uint64(12)  # how far ahead of its sums `apply` prefetches, in cache lines

_ONE = np.uint64(1)
_STATE_AND_NEURON = np.uint64(NEURON_BITS + 1)
_FIRST_TICK = _ONE << _STATE_AND_NEURON
_NEURON_MASK = np.uint64((1 << NEURON_BITS) - 1)

TICKET_KIND = np.dtype([("key", np.uint64), ("slot", np.int64), ("threshold", np.int64, 2)])
SLOT_KIND = np.dtype(
    [
        ("neuron", np.int64),  # local
        # Its next ticket (MPM): number, level, threshold without the rest of the bias, event word.
        ("depth", np.int64),
        ("level", np.float64),
        ("theta", np.float64),
        ("key", np.uint64),
        # In the last replay: x, and the bounds on z that it took.
        ("state", np.int64),
        ("high", np.int64),
        ("low", np.int64),
    ]
)

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
    return np.int64(np.ceil(max(-LIMIT, min(LIMIT, value))))


# ----------------------------------------------------------------------- tickets of the MPM
@njit(inline="always")
def first_word(seed, window, neuron):
    """High half of the level of a neuron's ticket 0: four neurons share a draw."""
    a, b, c, d = draw(seed, neuron >> 2, window, 0, FIRST)
    even = c if neuron & 2 else a
    odd = d if neuron & 2 else b
    return odd if neuron & 1 else even


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
def screen(source, table, margin, cap, z, x, bound):
    """Bound ticket 0 of every neuron from below; find the neurons that may reach it.

    bound: as z[n] (out). A candidate has s z + margin >= bound; need: the response up to which it
    needs tickets, in its other state too if it does not end the window by coming there. Returns
    candidates, need: int64[found].
    """
    seed, window, first = source[:3]
    n = z.size
    words = np.empty(n + 8, np.uint32)
    flags = np.empty(n, np.bool_)
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
    candidates = _indices(flags)
    need = np.empty(candidates.size, np.int64)
    for c in range(candidates.size):
        i = candidates[c]
        sz = np.int64(z[i]) if x[i] == 0 else -np.int64(z[i])
        turns = bound[i] <= sz < -sz <= cap
        need[c] = min(cap, margin + (-sz if turns else sz))
    return candidates, need


@njit(cache=True)
def first_tickets(source, bound):
    """Exact lowest threshold of every neuron, of both states: bound int64[n] (out)."""
    seed, window, first, exponent, scale, rest = source
    for i in range(bound.size):
        level, _ = ticket(seed, window, first + i, 0)
        theta = level_threshold(level, exponent, scale)
        bound[i] = to_threshold(theta - abs(rest[i]))


@njit(cache=True)
def deepen(source, candidates, need, bound, slot_of, held, count, room):
    """Draw the tickets of the candidates up to linear response `need`, in order of level.

    candidates: int64[found] local neurons, each once; need: int64[found], used up; bound: as z[n],
    the threshold of a neuron's first ticket not drawn; held, count: slots and tickets so far.
    Returns (slots, tickets, whether there was room for all): if not, make room and call again.
    """
    rest = source[-1]
    slots, tickets, order = room
    largest = np.int64(np.iinfo(bound.dtype).max)
    zero = bound.dtype.type(0)
    left = candidates.size
    if held + left > slots.size:
        return held, count, False
    before = held
    present = np.empty(left, np.int64)  # the slots of the candidates that are left
    for c in range(left):
        i = candidates[c]
        if slot_of[i] < 0:
            slot_of[i] = held
            slots[held].neuron = i
            slots[held].depth = 0
            slots[held].level = 0.0
            held += 1
        present[c] = slot_of[i]
    _next_tickets(source, np.arange(before, held), slots)
    while left:
        if count + left > tickets.size:
            return held, count, False
        more = 0
        for c in range(left):
            a = present[c]
            i = slots[a].neuron
            theta = slots[a].theta
            low = to_threshold(theta - abs(rest[i]))
            if low > need[c]:
                bound[i] = zero + max(min(low, largest), -largest)
                continue
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
    sort(tickets[:count], order)
    return held, count, True


@njit(cache=True, error_model="numpy")  # checks of divisors would keep the loop from vectors
def _next_tickets(source, present, slots):
    """Draw the next ticket of the slots `present`, int64[present]."""
    seed, window, first, exponent, scale = source[:-1]
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
def sort(tickets, order):
    """order (out): an MPM's tickets by time; those of one neuron at one tick keep their order.

    Times are uniform in the window: counted into as many parts of it, tickets are nearly in order.
    """
    bits = 1
    while 1 << bits < tickets.size:
        bits += 1
    shift = np.uint64(NEURON_BITS + 1 + MPM_TICK_BITS - bits)
    starts = np.zeros((1 << bits) + 1, np.int64)
    for t in range(tickets.size):
        part = np.int64((tickets[t].key - _FIRST_TICK) >> shift)
        starts[part + 1] += 1
    for k in range(1 << bits):
        starts[k + 1] += starts[k]
    for t in range(tickets.size):
        part = np.int64((tickets[t].key - _FIRST_TICK) >> shift)
        order[starts[part]] = t
        starts[part] += 1
    for o in range(1, tickets.size):
        t = order[o]
        while o > 0 and tickets[order[o - 1]].key > tickets[t].key:
            order[o] = order[o - 1]
            o -= 1
        order[o] = t


@njit(cache=True)
def arrivals(source, table, margin, cap, z, x, bound, slot_of, held, room):
    """The tickets of the neurons that may fire if no s z rises by more than the margin.

    held: slots so far, which are given up. See `screen`; returns what `deepen` does.
    """
    slots = room[0]
    for a in range(held):
        slot_of[slots[a].neuron] = -1
    candidates, need = screen(source, table, margin, cap, z, x, bound)
    return deepen(source, candidates, need, bound, slot_of, 0, 0, room)


@njit(cache=True)
def reached(source, cap, x, events, high, low, bound):
    """Neurons that may have reached a ticket not drawn, and a bound on all s z on the way.

    A neuron with events counts with both signs. Returns candidates, need: int64[found], and the
    bound.
    """
    first = source[2]
    n = x.size
    flags = np.empty(n, np.bool_)
    top = np.int64(-LIMIT)
    for i in range(n):
        reach = np.int64(high[i]) if x[i] == 0 else -np.int64(low[i])
        top = max(top, reach)
        flags[i] = min(reach, cap) >= bound[i]
    for e in range(events.size):
        i = neuron_of(events[e]) - first
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
def more_arrivals(source, cap, x, events, high, low, bound, slot_of, held, count, room):
    """The tickets that responses between the bounds `low` and `high` may reach.

    See `reached`; returns what `deepen` does, and a bound on all s z.
    """
    candidates, need, top = reached(source, cap, x, events, high, low, bound)
    done = True
    if candidates.size:
        held, count, done = deepen(source, candidates, need, bound, slot_of, held, count, room)
    return held, count, done, top


@njit(cache=True)
def earliest_arrival(source, bound, cap, z, x, last, last_ticket):
    """The race of the MPM: earliest ticket after (last, last_ticket) that fires at the present z.

    bound: int64[n] lowest thresholds. Returns (event word, ticket), (NO_EVENT, 0) for none, or
    (0, 0) if some s z is above `cap`: the window must end.
    """
    seed, window, first, exponent, scale, rest = source
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
    seed, start, steps, neurons_total, sequential, first, n, scale, rest, slot_of, held, room
):
    """The tickets of `steps` steps from `start` on that visit local neurons, one a step.

    scale = T / unit. At scale 0 a neuron follows the sign of z and keeps its state at z = 0.
    held: slots so far, which are given up. Returns (slots, tickets, whether there was
    room for all): if not, make room and call again.
    """
    slots, tickets, order = room
    if steps > tickets.size:
        return held, 0, False
    for a in range(held):
        slot_of[slots[a].neuron] = -1
    held = 0
    count = 0
    for step in range(start, start + steps):
        i = visited(seed, step, neurons_total, sequential) - first
        if i < 0 or i >= n:
            continue
        if slot_of[i] < 0:
            slot_of[i] = held
            slots[held].neuron = i
            held += 1
        tickets[count].key = event_word(step - start + 1, first + i)
        tickets[count].slot = slot_of[i]
        order[count] = count
        count += 1
    logits = _logits(seed, start, tickets[:count])
    for t in range(count):
        remainder = rest[slots[tickets[t].slot].neuron]
        if scale > 0.0:
            up = to_threshold(scale * logits[t] - remainder)
            tickets[t].threshold[0] = up
            tickets[t].threshold[1] = 1 - up
        else:
            tickets[t].threshold[0] = np.int64(np.floor(-remainder)) + 1
            tickets[t].threshold[1] = np.int64(np.floor(remainder)) + 1
    return held, count, True


@njit(cache=True, error_model="numpy")
def _logits(seed, start, tickets):
    """float64[tickets]: logit(u) of the update of each visit."""
    logits = np.empty(tickets.size)
    for t in range(tickets.size):
        key = tickets[t].key
        a, b, _, _ = draw(seed, neuron_of(key), start + tick_of(key) - 1, 0, UPDATE)
        u = uniform(a, b)
        logits[t] = ln(u) + exponential(u)
    return logits


@njit(cache=True)
def earliest_visit(tickets, slots, position, z, x, last):
    """The race of the BM: earliest visit after event `last` that changes a state at the present z.

    tickets: by time. Returns (event word or NO_EVENT, its place in `tickets`); visits before it
    are done with.
    """
    while position < tickets.size and tickets[position].key <= last:
        position += 1
    for t in range(position, tickets.size):
        i = slots[tickets[t].slot].neuron
        total = np.int64(z[i])
        if (total if x[i] == 0 else -total) >= tickets[t].threshold[x[i]]:
            return tickets[t].key | np.uint64(1 - x[i]), position
    return NO_EVENT, position


# ------------------------------------------------------------------------------ one window
@njit(cache=True)
def guess(z, x, slots, tickets, order, most):
    """The local events if no neuron had inputs: a first guess for the replays.

    Returns uint64[events], at most `most`.
    """
    for a in range(slots.size):
        slots[a].state = x[slots[a].neuron]
    local = np.empty(order.size, np.uint64)
    made = 0
    for t in order:
        slot = slots[tickets[t].slot]
        sz = np.int64(z[slot.neuron]) if slot.state == 0 else -np.int64(z[slot.neuron])
        if sz >= tickets[t].threshold[slot.state]:
            slot.state = 1 - slot.state
            local[made] = tickets[t].key | np.uint64(slot.state)
            made += 1
            if made == most:
                break
    return local[:made]


@njit(inline="always")
def _moved(weights, events, i):
    """By how much events move z of local neuron i."""
    total = np.int64(0)
    for event in events:
        total += sign_of(event) * np.int64(weights[neuron_of(event), np.uint64(i)])
    return total


@njit(cache=True)
def replay(
    weights, diagonal, z, x, first, high, low, slots, tickets, order, applied, marks, events, most,
    cap,
):  # fmt: skip
    """Run the local neurons through their tickets, in order of time, against `events`.

    events: uint64[K], the events of other ranks by time; high, low: bounds on z, as z[n]: a
    threshold beyond them is taken to be beyond z, but of neurons with two tickets at one tick.
    applied, marks: the events of all ranks that `apply` added last, and z on its way, from which
    z at a ticket differs little. The window ends right after the `most`-th local event, or an event
    that lifts its own neuron's s z above `cap`. Returns uint64[events] of local neurons, and the
    event after which the window ends (NO_EVENT: its width).
    """
    for a in range(slots.size):
        i = slots[a].neuron
        slots[a].state = x[i]
        slots[a].high = high[i]
        slots[a].low = low[i]
    # Events do not tell which of two tickets at one tick they are: these are not for `unsettled`.
    for o in range(1, order.size):
        if tickets[order[o]].key == tickets[order[o - 1]].key:
            a = tickets[order[o]].slot
            slots[a].high, slots[a].low = np.int64(LIMIT), np.int64(-LIMIT)
    merged = np.empty(events.size + order.size, np.uint64)  # all ranks' events so far
    # What leads from the first `passed` of `applied` to the first `compared` of `merged`.
    changes = np.empty(merged.size + applied.size, np.uint64)
    local = np.empty(order.size, np.uint64)
    count = 0
    made = 0
    remote = 0
    compared = 0
    passed = 0
    changed = 0
    for t in order:
        key = tickets[t].key
        while remote < events.size and events[remote] < key:
            merged[count] = events[remote]
            count += 1
            remote += 1
        while True:
            before = applied[passed] if passed < applied.size else NO_EVENT
            now = merged[compared] if compared < count else NO_EVENT
            if before >= key and now == NO_EVENT:
                break
            if before == now:
                passed += 1
                compared += 1
            elif before < key and before < now:
                changes[changed] = before ^ _ONE
                changed += 1
                passed += 1
            else:
                changes[changed] = now
                changed += 1
                compared += 1
        slot = slots[tickets[t].slot]
        i = slot.neuron
        s = 1 - 2 * slot.state
        threshold = tickets[t].threshold[slot.state]
        least = slot.low if slot.state == 0 else -slot.high
        largest = slot.high if slot.state == 0 else -slot.low
        if largest < threshold:
            continue
        # Fires for sure, and does not end the window.
        clear = least >= threshold and abs(np.int64(diagonal[i])) - least <= cap
        if not clear:
            total = np.int64(z[i])
            mark = 0
            if passed and tickets[t].slot < marks.shape[1]:
                mark = (passed - 1) // PASS
                total = marks[mark, tickets[t].slot]
            total += _moved(weights, applied[mark * PASS : passed], i)
            total += _moved(weights, changes[:changed], i)
            if s * total < threshold:
                continue
        slot.state = 1 - slot.state
        local[made] = key | np.uint64(slot.state)
        merged[count] = local[made]
        count += 1
        made += 1
        crosses = not clear and -s * (total + s * np.int64(diagonal[i])) > cap
        if made == most or crosses:
            return local[:made], local[made - 1]
    return local[:made], NO_EVENT


@intrinsic
def _prefetch(typing, arrays, index):
    """Ask for the memory of array[index] of each of a tuple of arrays, which is soon used."""

    def generate(context, builder, signature, arguments):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        read, every_cache, data_not_code = word(0), word(3), word(1)
        for k, array in enumerate(signature.args[0]):
            value = builder.extract_value(arguments[0], k)
            data = context.make_array(array)(context, builder, value).data
            place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
            builder.call(function, [place, read, every_cache, data_not_code])
        return context.get_dummy_value()

    return types.void(arrays, index), generate


@njit(cache=True)
def sweep(weights, sequential, z, x, slots, tickets, events):
    """`replay` for a BM, whose tickets come by time: each event's column is pushed to the slots.

    The neurons of a sequential scan follow each other, and then that is one short vector.
    events: uint64[K], the events of other ranks by time. Returns uint64[events] of local neurons.
    """
    neurons = np.empty(slots.size, np.int64)
    states = np.empty(slots.size, np.int64)
    sums = np.empty(slots.size, np.int64)
    for a in range(slots.size):
        neurons[a] = slots[a].neuron
        states[a] = x[neurons[a]]
        sums[a] = z[neurons[a]]
    once = sequential and slots.size == tickets.size
    in_a_row = once and slots.size > 0 and neurons[-1] - neurons[0] == slots.size - 1
    local = np.empty(tickets.size, np.uint64)
    made = 0
    remote = 0
    for t in range(tickets.size):
        a = tickets[t].slot
        key = tickets[t].key
        if in_a_row and t + _AHEAD < tickets.size:
            w = weights[neuron_of(tickets[t + _AHEAD].key)]
            for i in range(neurons[t + _AHEAD], neurons[-1] + 1, _LINE // w.itemsize):
                _prefetch((w,), i)  # type: ignore[call-arg]
        while remote < events.size and events[remote] < key:
            _push(weights, events[remote], neurons, a, in_a_row, sums)
            remote += 1
        state = states[a]
        if (sums[a] if state == 0 else -sums[a]) >= tickets[t].threshold[state]:
            states[a] = 1 - state
            local[made] = key | np.uint64(states[a])
            _push(weights, local[made], neurons, a, in_a_row, sums)
            made += 1
    return local[:made]


@njit(inline="always")
def _push(weights, event, neurons, present, in_a_row, sums):
    """Add an event's column to the sums; slots in a row are done before the present one."""
    w = weights[neuron_of(event)]
    s = sign_of(event)
    if in_a_row:
        part = w[neurons[0] + present : neurons[0] + neurons.size]
        to = sums[present:]
        for k in range(part.size):
            to[k] += s * np.int64(part[k])
    else:
        for a in range(neurons.size):
            sums[a] += s * np.int64(w[neurons[a]])


@njit(cache=True)
def merge(parts, counts, rank, stop, most):
    """Merge the ranks' events, each by time, up to event `stop` and at most `most`.

    parts: uint64[ranks, ...], of which counts: int64[ranks] words are events; those of one neuron
    at one tick stay in their order. Returns the events of all ranks, and of all but `rank`:
    uint64[...].
    """
    heads = np.zeros(counts.size, np.int64)
    events = np.empty(counts.sum(), np.uint64)
    remote = np.empty(events.size, np.uint64)
    kept = 0
    others = 0
    while kept < most:
        least = NO_EVENT
        owner = -1
        for r in range(counts.size):
            if heads[r] < counts[r] and parts[r, heads[r]] < least:
                least = parts[r, heads[r]]
                owner = r
        if owner < 0 or least >> _ONE > stop >> _ONE:
            break
        heads[owner] += 1
        events[kept] = least
        kept += 1
        if owner != rank:
            remote[others] = least
            others += 1
    return events[:kept], remote[:others]


@njit(cache=True)
def unsettled(
    weights, z, x, first, high, low, slots, tickets, order, drawn, changes, events, early
):
    """Whether a ticket that the last replay did not look at closely disagrees with its events.

    These are the tickets from `drawn` on, new since, and those with a threshold within the present
    bounds on z, high and low, but beyond those of the replay, which the slots hold; most are beyond
    these still when they are moved by the changes before the ticket. changes: from the events of
    the replay's bounds to the present ones; events: uint64[K], by time; early: the window ends
    right after the last, and later tickets do not count.
    """
    end = events[-1] if early else NO_EVENT
    if drawn < tickets.size:  # of two tickets at one tick only a replay can tell
        for o in range(1, order.size):
            key = tickets[order[o]].key
            new = max(order[o - 1], order[o]) >= drawn
            if new and key == tickets[order[o - 1]].key and key <= end:
                return True
    for t in range(tickets.size):
        key = tickets[t].key
        if key > end:
            continue
        slot = slots[tickets[t].slot]
        i = slot.neuron
        new = t >= drawn
        if not new:
            up, down = tickets[t].threshold[0], -tickets[t].threshold[1]
            armed = low[i] < up <= high[i] and not slot.low < up <= slot.high
            refractory = low[i] <= down < high[i] and not slot.low <= down < slot.high
            if not (armed or refractory):
                continue
            moved = _moved(weights, changes[: np.searchsorted(changes, key)], i)
            least, largest = slot.low + moved, slot.high + moved
            armed &= up <= largest if up > slot.high else up > least
            refractory &= down >= least if down < slot.low else down < largest
            if not (armed or refractory):
                continue
        total = np.int64(z[i])
        state = x[i]
        e = 0
        while e < events.size and events[e] < key:
            total += sign_of(events[e]) * np.int64(weights[neuron_of(events[e]), i])
            if neuron_of(events[e]) == first + i:
                state = np.uint8(events[e] & _ONE)
            e += 1
        fires = (total if state == 0 else -total) >= tickets[t].threshold[state]
        fired = e < events.size and events[e] & ~_ONE == key
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
def apply(weights, events, z, end, high, low, slots, marks):
    """Add the columns of `events` to z, with bounds on the way.

    end = z + columns; high, low: bounds on z of each neuron over the window, start included, at
    most 12 units wide of its extremes, since sums are short by the subtractions of their pass. All
    as z[n]. marks: int64[passes, slots], z of the slots' neurons before each pass (out). Twelve
    columns a pass keep the sums in registers. They are prefetched: of itself a core does not read
    so many streams far enough ahead.
    """
    n = z.size
    neurons = slots.neuron.copy()
    kind = z.dtype.type
    none = np.zeros(n, weights.dtype)
    # A cache line of each column at a time. Unsigned, and constant in compiled code: LLVM makes no
    # vectors of the loop otherwise.
    line = np.uint64(8 * _LINE // np.iinfo(weights.dtype).bits)
    lines = np.uint64(n) // line
    for i in range(n):  # three copies cost three times as much
        end[i] = high[i] = low[i] = z[i]
    for k in range(0, events.size, PASS):
        for a in range(neurons.size):
            marks[k // PASS, a] = end[neurons[a]]
        columns = _columns(weights, events, k, none)
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11 = columns
        m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11 = _masks(events, k, kind)
        short = -(m0 + m1 + m2 + m3 + m4 + m5 + m6 + m7 + m8 + m9 + m10 + m11)
        for part in range(lines):
            _prefetch(columns, (part + _AHEAD_LINES) * line)  # type: ignore[call-arg]
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
            w = weights[neuron_of(event)]
            for i in range(lines * line, np.uint64(n)):
                end[i] += kind(sign_of(event) * np.int64(w[i]))
                high[i] = max(high[i], end[i])
                low[i] = min(low[i], end[i])


@njit(cache=True)
def accumulate(weights, events, z):
    """Add the columns of `events` to z[n], in place: twelve a pass, as in `apply`; a few singly."""
    n = z.size
    kind = z.dtype.type
    few = events.size % PASS if events.size % PASS < 5 else 0
    for k in range(events.size - few, events.size):
        w = weights[neuron_of(events[k])]
        m = _mask(events, k, kind)
        for i in range(n):
            z[i] += kind((kind(w[i]) ^ m) - m)
    if few == events.size:
        return
    none = np.zeros(n, weights.dtype)
    for k in range(0, events.size - few, PASS):
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
def difference(before, after):
    """uint64[changes]: what leads from the events `before` to the events `after`, both by time.

    These are the events to add, and those to take back with the other state, so that their columns
    count with the other sign.
    """
    changes = np.empty(before.size + after.size, np.uint64)
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
    return changes[:count]


@njit(cache=True)
def adjust(weights, before, after, most, end, high, low):
    """Bring `end` and the bounds from the events `before` to the events `after`.

    Bounds are widened by all that a change may move z, so that they stay bounds, whatever the order
    of the events. All as z[n]. Returns the changes; nothing is done if they are more than `most`.
    """
    changes = difference(before, after)
    if changes.size > most:
        return changes
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
    return changes


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


def aligned(shape: tuple[int, ...], kind: Any) -> Any:
    """As np.empty, but from the start of a cache line: vectors that lie in two take longer."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    memory = np.empty(size + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + size].view(kind).reshape(shape)


def columns(neurons, n, bits):
    """Room for a rank's weights: int8/16/32[N, n], with a few zeros after some columns.

    Columns a multiple of 2 KiB apart would crowd the same places of the caches.
    """
    spare = 8 * _LINE // bits if n and n * bits // 8 % 2048 == 0 else 0
    weights = aligned((neurons, n + spare), f"int{bits}")
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
