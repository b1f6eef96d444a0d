"""The tickets of a Boltzmann machine: one a visit, x_i <- [z_i > T logit(u)].

`boltzmann.cuh` is the twin; `updates.py` draws u.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.elementary import uniform
from distsim.kernels.events import LIMIT, NO_EVENT, event_word, neuron_of, tick_of, to_threshold
from distsim.kernels.philox import VISIT, draw
from distsim.kernels.updates import logit_of, quads, random_logit


@njit(inline="always")
def visited(seed, replica, step, neurons):
    """The neuron that step `step` (from 0) of the random scan visits: uniform (multiply-high)."""
    a, b, _, _ = draw(seed, 0, step | replica, 0, VISIT)
    n = np.uint64(neurons)
    return np.int64((a * n + ((b * n) >> np.uint64(32))) >> np.uint64(32))


class Scan(NamedTuple):
    """Which neurons are visited, and how their tickets are drawn.

    seed: uint64; replica: its bits (`philox.replica_bits`); neurons: N; first, size: of the local
    neurons; clamped: bool[n], which of these stay as they are.
    """

    seed: Any
    replica: int
    neurons: int
    sequential: bool
    first: int
    size: int
    clamped: Any


@njit(cache=True)
def visits(scan, source, start, steps, held, room):
    """The tickets of `steps` steps from `start` on that visit local neurons, one a step.

    source: T in weight units and float64[n], the rests of the biases. At T = 0 a neuron follows the
    sign of z and keeps its state at z = 0. The thresholds of a clamped neuron are beyond all. held:
    what there was before, which is given up. Returns (slots, tickets, whether there was room for
    all): if not, make room and call again.
    """
    seed, replica, neurons, sequential, first, n, clamped = scan
    scale, rest = source
    slots, tickets, order = room
    slot_of, before, _ = held
    if steps > tickets.size:
        return before, 0, False
    for a in range(before):
        slot_of[slots[a].neuron] = -1
    used = 0
    count = 0
    following = start % neurons  # in a sequential scan
    for step in range(start, start + steps):
        i = following - first
        following = following + 1 if following + 1 < neurons else 0
        if not sequential:
            i = visited(seed, replica, step, neurons) - first
        if i < 0 or i >= n:
            continue
        if slot_of[i] < 0:
            slot_of[i] = used
            slots[used].neuron = i
            used += 1
        tickets[count].key = event_word(step - start + 1, first + i)
        tickets[count].slot = slot_of[i]
        order[count] = count
        count += 1
    if sequential:
        logits = _sweep_logits(seed, replica, start, neurons, tickets[:count])
    else:
        logits = _random_logits(seed, replica, start, tickets[:count])
    for t in range(count):
        i = slots[tickets[t].slot].neuron
        remainder = rest[i]
        if clamped[i]:
            tickets[t].threshold[0] = tickets[t].threshold[1] = np.int64(LIMIT)
        elif scale > 0.0:
            up = to_threshold(scale * logits[t] - remainder)
            tickets[t].threshold[0] = up
            tickets[t].threshold[1] = 1 - up
        else:
            tickets[t].threshold[0] = np.int64(np.floor(-remainder)) + 1
            tickets[t].threshold[1] = np.int64(np.floor(remainder)) + 1
    return used, count, True


@njit(cache=True, error_model="numpy")
def _random_logits(seed, replica, start, tickets):
    """float64[tickets]: logit(u) of the update of each visit of a random scan."""
    logits = np.empty(tickets.size)
    for t in range(tickets.size):
        key = tickets[t].key
        logits[t] = random_logit(seed, replica, start + tick_of(key) - 1, neuron_of(key))
    return logits


@njit(cache=True, error_model="numpy")
def _sweep_logits(seed, replica, start, neurons, tickets):
    """As `_random_logits`, of a sequential scan: four neurons a draw."""
    group, sweep = np.empty(tickets.size, np.int64), np.empty(tickets.size, np.int64)
    place = np.empty(tickets.size, np.int64)
    groups = 0
    s, before = start // neurons, start % neurons - 1  # neurons rise in a sweep
    for t in range(tickets.size):
        i = neuron_of(tickets[t].key)
        s += i <= before
        before = i
        if groups == 0 or group[groups - 1] != i >> 2 or sweep[groups - 1] != s:
            group[groups] = i >> 2
            sweep[groups] = s
            groups += 1
        place[t] = groups - 1
    high, low = np.empty(4 * groups, np.uint32), np.empty(4 * groups, np.uint32)
    quads(seed, replica, group[:groups], sweep[:groups], 0, high)
    quads(seed, replica, group[:groups], sweep[:groups], 1, low)
    logits = np.empty(tickets.size)
    for t in range(tickets.size):
        k = (neuron_of(tickets[t].key) & 3) * groups + place[t]
        logits[t] = uniform(high[k], low[k])
    for t in range(tickets.size):
        logits[t] = logit_of(logits[t])
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
