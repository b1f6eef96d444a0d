"""What a run is seen to do, at equal intervals: counts and sums over events in order of time.

    t_d = d * every, d = 1, 2, ...; what holds at t_d is the state after all events up to t_d

States are constant between events, so that integrals over an interval are exact sums of times.
Everything is added in order of events, whoever found them: so it does not depend on ranks, devices
or blocks. It has no twin: a chain on GPUs hands its events to the host.

Energies are integers: with z = W x + b in weight units, b = bias + rest, and R = rest in 2^-40,

    2 E / unit = -sum_i x_i (z_i + bias_i) - 2^-39 sum_i x_i R_i,

and an event of neuron i from state x_i, s = 1 - 2 x_i, changes the first sum by
-2 s z_i - W_ii (`doubled`) and the second by -s R_i.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

REST_BITS = 40  # of the rest of a bias, in weight units

# Places in `Tally.whole` and `Tally.real`.
SAMPLES, ACTIVE, FIRED, ALL_FIRED, DOUBLED, RESTS, BEST_DOUBLED, BEST_RESTS, BEST_EVENT = range(9)
SUMS = 9  # of DOUBLED and RESTS over the samples, each in two words: of 2^HALF, and what is left
WHOLES, HALF = 13, 32
MOMENT, INTEGRAL, ALL_MEANS, BEST_TIME = range(4)
REALS = 4


class Block(NamedTuple):
    """Events in order of time: time: float64[K], neuron: int64[K], state: uint8[K]; doubled:
    int64[K], by how much each changes 2 E in weight units (int64[0] where no energy is observed).
    """

    time: Any
    neuron: Any
    state: Any
    doubled: Any


class Tally(NamedTuple):
    """What is known up to the last event taken.

    x: uint8[N]; whole: int64[WHOLES]: samples so far, neurons in state 1, transitions 0 -> 1 in
    this interval and in those before, 2 E and its rest, the lowest of both, the event in the block
    at which it was, and SUMS; real: float64[REALS]: up to when `integral` is summed, neurons in
    state 1 x time in this interval, the sum of `mean` over those before, the time of the lowest
    energy. rests: int64[N], R. Of each neuron in this interval, where it is wanted: fired:
    int64[N], transitions 0 -> 1; since: float64[N], from when its state 1 is not yet in spent:
    float64[N], time in it.
    """

    x: Any
    whole: Any
    real: Any
    rests: Any
    fired: Any
    since: Any
    spent: Any


class Rows(NamedTuple):
    """Samples, a row each, of room for C: active, ups, doubled, rests: int64[C], neurons in state
    1, transitions 0 -> 1 over the interval, the energy; mean: float64[C], of active over the
    interval; fired: int64[C, N]; spent: float64[C, N]; bits: uint8[C, ceil(N / 8)]; where they are
    not wanted, of no columns. products: int64[n, n] += x_i x_j of neurons of: int64[n].
    """

    active: Any
    ups: Any
    mean: Any
    doubled: Any
    rests: Any
    fired: Any
    spent: Any
    bits: Any
    of: Any
    products: Any


@njit(cache=True)
def observe(block, k, until, every, tally, rows):
    """Take the events from the k-th on, with the samples before each; then the samples to `until`.

    until: all events up to this time are in the block; -1 if that is not known. Returns (the next
    event, rows made): fewer events than there are if the rows are full, to go on with.
    """
    whole, real = tally.whole, tally.real
    each = tally.fired.size > 0
    energies = block.doubled.size > 0
    made = 0
    while k < block.time.size:
        now = block.time[k]
        while np.float64(whole[SAMPLES] + 1) * every < now:
            if made == rows.active.size:
                return k, made
            _sample(every, tally, rows, made)
            made += 1
        i = block.neuron[k]
        state = block.state[k]
        real[INTEGRAL] += np.float64(whole[ACTIVE]) * (now - real[MOMENT])
        real[MOMENT] = now
        change = 2 * np.int64(state) - 1
        whole[ACTIVE] += change
        whole[FIRED] += state
        tally.x[i] = state
        if each:
            if state:
                tally.fired[i] += 1
                tally.since[i] = now
            else:
                tally.spent[i] += now - tally.since[i]
        if energies:
            whole[DOUBLED] += block.doubled[k]
            whole[RESTS] -= change * tally.rests[i]
            _compare(whole, real, now, k)
        k += 1
    while np.float64(whole[SAMPLES] + 1) * every <= until:
        if made == rows.active.size:
            return k, made
        _sample(every, tally, rows, made)
        made += 1
    return k, made


@njit(inline="always")
def _compare(whole, real, now, k):
    """Note the energy if it is the lowest so far: the first of equal ones counts."""
    lower = whole[DOUBLED] - whole[BEST_DOUBLED]
    rests = whole[RESTS] - whole[BEST_RESTS]
    # 2 E = doubled + 2^(1 - REST_BITS) rests: the carry of the second decides with the first.
    carry = rests >> (REST_BITS - 1)
    if lower + carry < 0:
        whole[BEST_DOUBLED] = whole[DOUBLED]
        whole[BEST_RESTS] = whole[RESTS]
        whole[BEST_EVENT] = k
        real[BEST_TIME] = now


@njit(inline="always")
def _sample(every, tally, rows, row):
    """What holds at the next t_d, and did since the one before."""
    whole, real = tally.whole, tally.real
    whole[SAMPLES] += 1
    moment = np.float64(whole[SAMPLES]) * every
    real[INTEGRAL] += np.float64(whole[ACTIVE]) * (moment - real[MOMENT])
    real[MOMENT] = moment
    rows.active[row] = whole[ACTIVE]
    rows.ups[row] = whole[FIRED]
    rows.mean[row] = real[INTEGRAL] / every
    rows.doubled[row] = whole[DOUBLED]
    rows.rests[row] = whole[RESTS]
    real[ALL_MEANS] += rows.mean[row]
    real[INTEGRAL] = 0.0
    whole[ALL_FIRED] += whole[FIRED]
    whole[FIRED] = 0
    for k in range(2):
        whole[SUMS + 2 * k] += whole[DOUBLED + k] >> HALF
        whole[SUMS + 2 * k + 1] += whole[DOUBLED + k] & ((1 << HALF) - 1)
    x = tally.x
    if tally.fired.size > 0:
        for i in range(x.size):
            if x[i]:
                tally.spent[i] += moment - tally.since[i]
                tally.since[i] = moment
            rows.fired[row, i] = tally.fired[i]
            rows.spent[row, i] = tally.spent[i]
            tally.fired[i] = 0
            tally.spent[i] = 0.0
    if rows.bits.shape[1] > 0:
        for b in range(rows.bits.shape[1]):
            byte = 0
            for i in range(8 * b, min(8 * b + 8, x.size)):
                byte |= x[i] << (7 - (i & 7))
            rows.bits[row, b] = np.uint8(byte)
    for a in range(rows.of.size):
        if x[rows.of[a]]:
            for b in range(rows.of.size):
                rows.products[a, b] += x[rows.of[b]]
