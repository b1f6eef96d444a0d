"""A window's events of a BM, whose tickets are all known, in order of time.

`replay.cuh` is the twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.columns import add_row, add_to, ask_for
from distsim.kernels.events import neuron_of, sign_of

_AHEAD = 4  # visits: a sweep prefetches for one so much later, if it makes an event as it looks


@njit(cache=True)
def sweep(local, sequential, drawn, remote):
    """Run the visits to local neurons: each event's column is pushed to all slots.

    The neurons of a sequential scan follow each other, but where the first local one comes after
    the last: they are one or two rows, and what is pushed are short vectors.
    remote: uint64[K], the events of other ranks by time. Returns the events of local neurons,
    uint64[events], and by how much each changes 2 E (`energy.py`), int64[events].
    """
    columns, _, _, z, x = local
    slots, tickets, _ = drawn
    neurons = np.empty(slots.size, np.int64)
    states = np.empty(slots.size, np.int64)
    sums = np.empty(slots.size, z.dtype)
    place = np.full(z.size, -1)  # of each neuron among the slots
    for a in range(slots.size):
        neurons[a] = slots[a].neuron
        states[a] = x[neurons[a]]
        sums[a] = z[neurons[a]]
        place[neurons[a]] = a
    turn = 0  # slots before it are one row, those from it on another; 0 if there are no rows
    if sequential and slots.size == tickets.size:
        turn = slots.size
        for a in range(1, slots.size):
            if neurons[a] < neurons[a - 1]:
                turn = a
    events = np.empty(tickets.size, np.uint64)
    doubled = np.empty(tickets.size, np.int64)
    made = 0
    pushed = 0
    for t in range(tickets.size):
        a = tickets[t].slot
        key = tickets[t].key
        b = t + _AHEAD
        if turn and b < tickets.size and _fires(tickets[b], states[b], sums[b]):
            last = neurons[turn - 1] if b < turn else neurons[-1]
            ask_for(columns, neuron_of(tickets[b].key), neurons[b], last)
        while pushed < remote.size and remote[pushed] < key:
            _push(columns, remote[pushed], neurons, place, a, turn, sums)
            pushed += 1
        state = states[a]
        if _fires(tickets[t], state, sums[a]):
            states[a] = 1 - state
            events[made] = key | np.uint64(states[a])
            doubled[made] = -2 * (1 - 2 * state) * np.int64(sums[a])
            _push(columns, events[made], neurons, place, a, turn, sums)
            made += 1
    return events[:made], doubled[:made]


@njit(inline="always")
def _fires(ticket, state, z):
    """Whether a visit in this state at this z makes an event."""
    return (z if state == 0 else -z) >= ticket.threshold[state]


@njit(inline="always")
def _push(columns, event, neurons, place, present, turn, sums):
    """Add an event's column to the sums; slots in rows are done before the present one."""
    j, sign = neuron_of(event), sign_of(event)
    if turn == 0:
        add_to(columns, j, sign, neurons, place, sums)
        return
    if present < turn:
        add_row(columns, j, sign, neurons[present], sums[present:turn])
        present = turn
    if present < sums.size:
        add_row(columns, j, sign, neurons[present], sums[present:])
