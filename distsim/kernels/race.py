"""The race of the MPM: the earliest ticket that fires at the present z. `race.cu` is the twin."""

import numpy as np
from numba import njit

from distsim.kernels.events import NO_EVENT, ONE, to_threshold
from distsim.kernels.mcculloch_pitts import level_threshold, ticket

_NEVER = np.int64(2**63 - 1)  # the lowest threshold of a clamped neuron


@njit(cache=True)
def first_tickets(source, bound):
    """Exact lowest threshold of every neuron, of both states: bound int64[n] (out); beyond
    all for a clamped one."""
    seed, window, first, exponent, scale, rest, _, clamped = source
    for i in range(bound.size):
        level, _ = ticket(seed, window, first + i, 0)
        theta = level_threshold(level, exponent, scale)
        bound[i] = to_threshold(theta - abs(rest[i]))
    for i in clamped:
        bound[i] = _NEVER


@njit(cache=True)
def earliest_arrival(source, bound, cap, z, x, last, last_ticket):
    """The race of the MPM: earliest ticket after (last, last_ticket) that fires at the present z.

    bound: int64[n] lowest thresholds. Returns (event word, ticket), (NO_EVENT, 0) for none, or
    (0, 0) if some s z is above `cap`: the window must end.
    """
    seed, window, first, exponent, scale, rest, end, _ = source
    last &= ~ONE
    best = NO_EVENT
    best_ticket = 0
    for i in range(z.size):
        sz = np.int64(z[i]) if x[i] == 0 else -np.int64(z[i])
        if sz > cap and bound[i] < _NEVER:
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
            if fires and later and key < end and key < best & ~ONE:
                best = key | np.uint64(1 - x[i])
                best_ticket = k
            k += 1
    return best, best_ticket
