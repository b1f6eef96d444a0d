"""A window's events from its tickets: guessed, replayed against other ranks' events, checked.

`engines.relax` says how these lead to the one trajectory. `replay.cuh` is the twin.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.apply import PASS, Marks, moved
from distsim.kernels.columns import weight
from distsim.kernels.events import LIMIT, NO_EVENT, ONE, neuron_of, sign_of


class Local(NamedTuple):
    """A rank's part of the network, at a window's start.

    columns: its weights; diagonal: int[n], of its self-edges; first: of its neurons; z: int[n];
    x: uint8[n].
    """

    columns: Any
    diagonal: Any
    first: int
    z: Any
    x: Any


class Bounds(NamedTuple):
    """Bounds on z over a window: high, low, as z[n]."""

    high: Any
    low: Any


@njit(cache=True)
def guess(local, drawn, most):
    """The local events if no neuron had inputs: a first guess for the replays.

    Returns uint64[events], at most `most`.
    """
    _, _, _, z, x = local
    slots, tickets, order = drawn
    for a in range(slots.size):
        slots[a].state = x[slots[a].neuron]
    events = np.empty(order.size, np.uint64)
    made = 0
    for t in order:
        slot = slots[tickets[t].slot]
        sz = np.int64(z[slot.neuron]) if slot.state == 0 else -np.int64(z[slot.neuron])
        if sz >= tickets[t].threshold[slot.state]:
            slot.state = 1 - slot.state
            events[made] = tickets[t].key | np.uint64(slot.state)
            made += 1
            if made == most:
                break
    return events[:made]


@njit(inline="always")
def compare(applied, events, key, changes, counts):
    """What leads from events that `apply` added to others, up to a time: `changes` (out).

    counts: how many of `applied` before that time are passed, of `events`, which are all before it,
    compared, and how many changes that made. Returns these, later.
    """
    passed, compared, changed = counts
    while True:
        before = applied[passed] if passed < applied.size else NO_EVENT
        now = events[compared] if compared < events.size else NO_EVENT
        if before >= key and now == NO_EVENT:
            return passed, compared, changed
        if before == now:
            passed += 1
            compared += 1
        elif before < key and before < now:
            changes[changed] = before ^ ONE
            changed += 1
            passed += 1
        else:
            changes[changed] = now
            changed += 1
            compared += 1


@njit(inline="always")
def response(local, marks, i, slot, passed, changes):
    """z of local neuron i, which has this slot, after the first `passed` events that were applied
    and these changes; from the last mark before."""
    total = np.int64(local.z[i])
    mark = 0
    if passed and 0 <= slot < marks.values.shape[1]:
        mark = (passed - 1) // PASS
        total = marks.values[mark, slot]
    total += moved(local.columns, marks.applied[mark * PASS : passed], i)
    return total + moved(local.columns, changes, i)


@njit(cache=True)
def replay(local, bounds, drawn, marks, remote, most, cap):
    """Run the local neurons through their tickets, in order of time, against `remote`.

    remote: uint64[K], the events of other ranks by time. A threshold beyond the bounds on z is
    taken to be beyond z, but of neurons with two tickets at one tick. The window ends right after
    the `most`-th local event, or an event that lifts its own neuron's s z above `cap`. Returns
    uint64[events] of local neurons, and the event after which the window ends (NO_EVENT: its
    width).
    """
    local, marks = Local(*local), Marks(*marks)
    diagonal, x = local.diagonal, local.x
    high, low = bounds
    slots, tickets, order = drawn
    applied = marks.applied
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
    merged = np.empty(remote.size + order.size, np.uint64)  # all ranks' events so far
    # What leads from the first `passed` of `applied` to the first `compared` of `merged`.
    changes = np.empty(merged.size + applied.size, np.uint64)
    events = np.empty(order.size, np.uint64)  # of local neurons
    count = 0
    made = 0
    heard = 0
    compared = 0
    passed = 0
    changed = 0
    for t in order:
        key = tickets[t].key
        while heard < remote.size and remote[heard] < key:
            merged[count] = remote[heard]
            count += 1
            heard += 1
        passed, compared, changed = compare(
            applied, merged[:count], key, changes, (passed, compared, changed)
        )
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
            total = response(local, marks, i, tickets[t].slot, passed, changes[:changed])
            if s * total < threshold:
                continue
        slot.state = 1 - slot.state
        events[made] = key | np.uint64(slot.state)
        merged[count] = events[made]
        count += 1
        made += 1
        crosses = not clear and -s * (total + s * np.int64(diagonal[i])) > cap
        if made == most or crosses:
            return events[:made], events[made - 1]
    return events[:made], NO_EVENT


@njit(cache=True)
def unsettled(local, bounds, drawn, known, changes, events, early):
    """Whether a ticket that the last replay did not look at closely disagrees with its events.

    These are the tickets from `known` on, new since, and those with a threshold within the present
    bounds on z, but beyond those of the replay, which the slots hold; most are beyond
    these still when they are moved by the changes before the ticket. changes: from the events of
    the replay's bounds to the present ones; events: uint64[K], by time; early: the window ends
    right after the last, and later tickets do not count.
    """
    columns, _, first, z, x = local
    high, low = bounds
    slots, tickets, order = drawn
    end = events[-1] if early else NO_EVENT
    if known < tickets.size:  # of two tickets at one tick only a replay can tell
        for o in range(1, order.size):
            key = tickets[order[o]].key
            new = max(order[o - 1], order[o]) >= known
            if new and key == tickets[order[o - 1]].key and key <= end:
                return True
    for t in range(tickets.size):
        key = tickets[t].key
        if key > end:
            continue
        slot = slots[tickets[t].slot]
        i = slot.neuron
        new = t >= known
        if not new:
            up, down = tickets[t].threshold[0], -tickets[t].threshold[1]
            armed = low[i] < up <= high[i] and not slot.low < up <= slot.high
            refractory = low[i] <= down < high[i] and not slot.low <= down < slot.high
            if not (armed or refractory):
                continue
            shift = moved(columns, changes[: np.searchsorted(changes, key)], i)
            least, largest = slot.low + shift, slot.high + shift
            armed &= up <= largest if up > slot.high else up > least
            refractory &= down >= least if down < slot.low else down < largest
            if not (armed or refractory):
                continue
        total = np.int64(z[i])
        state = x[i]
        e = 0
        while e < events.size and events[e] < key:
            total += sign_of(events[e]) * weight(columns, i, neuron_of(events[e]))
            if neuron_of(events[e]) == first + i:
                state = np.uint8(events[e] & ONE)
            e += 1
        fires = (total if state == 0 else -total) >= tickets[t].threshold[state]
        fired = e < events.size and events[e] & ~ONE == key
        if fires != fired:
            return True
    return False
