"""A window's events of a BM, whose tickets are all known, in order of time.

`replay.cuh` is the twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.columns import add_row, add_to, ask_for
from distsim.kernels.events import neuron_of, sign_of

_AHEAD = 4  # visits for which a sweep prefetches


@njit(cache=True)
def sweep(local, sequential, drawn, remote):
    """Run the visits to local neurons: each event's column is pushed to all slots.

    The neurons of a sequential scan follow each other, and then that is one short vector.
    remote: uint64[K], the events of other ranks by time. Returns the events of local neurons,
    uint64[events], and by how much each changes 2 E (`energy.py`), int64[events].
    """
    columns, _, _, z, x = local
    slots, tickets, _ = drawn
    neurons = np.empty(slots.size, np.int64)
    states = np.empty(slots.size, np.int64)
    sums = np.empty(slots.size, np.int64)
    place = np.full(z.size, -1)  # of each neuron among the slots
    for a in range(slots.size):
        neurons[a] = slots[a].neuron
        states[a] = x[neurons[a]]
        sums[a] = z[neurons[a]]
        place[neurons[a]] = a
    once = sequential and slots.size == tickets.size
    in_a_row = once and slots.size > 0 and neurons[-1] - neurons[0] == slots.size - 1
    events = np.empty(tickets.size, np.uint64)
    doubled = np.empty(tickets.size, np.int64)
    made = 0
    pushed = 0
    for t in range(tickets.size):
        a = tickets[t].slot
        key = tickets[t].key
        if in_a_row and t + _AHEAD < tickets.size:
            ask_for(columns, neuron_of(tickets[t + _AHEAD].key), neurons[t + _AHEAD], neurons[-1])
        while pushed < remote.size and remote[pushed] < key:
            _push(columns, remote[pushed], neurons, place, a, in_a_row, sums)
            pushed += 1
        state = states[a]
        if (sums[a] if state == 0 else -sums[a]) >= tickets[t].threshold[state]:
            states[a] = 1 - state
            events[made] = key | np.uint64(states[a])
            doubled[made] = -2 * (1 - 2 * state) * sums[a]
            _push(columns, events[made], neurons, place, a, in_a_row, sums)
            made += 1
    return events[:made], doubled[:made]


@njit(inline="always")
def _push(columns, event, neurons, place, present, in_a_row, sums):
    """Add an event's column to the sums; slots in a row are done before the present one."""
    if in_a_row:
        add_row(columns, neuron_of(event), sign_of(event), neurons[0] + present, sums[present:])
    else:
        add_to(columns, neuron_of(event), sign_of(event), neurons, place, sums)
