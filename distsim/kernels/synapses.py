"""Synapses that are a function of (seed, source, number): a neuron's targets and weights.

A rule says of each source its targets, rising and distinct, and of each synapse an index into a
table of weights: 2^16 quantiles of a normal law, or one of each type of source.

| kind | targets of neuron j |
|---|---|
| STRATIFIED | number q is a random neuron of the q-th of k equal strata |
| PROBABILITY | each neuron with the same probability: gaps, begun again every 4,096 neurons |
| PAIRED | number q is j's partner in the q-th of k random pairings: symmetric, weights too |
| OFFSETS | number q is at an offset of the q-th of k strata of a kernel, on a ring or a grid |

Whoever wants the targets in [first, stop) need not know the others.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.elementary import ln
from distsim.kernels.pairings import part, partner
from distsim.kernels.philox import GAP, PAIR, SYNAPSE, TYPE, WEIGHT, draw

STRATIFIED, PROBABILITY, PAIRED, OFFSETS = range(4)
_ROWS = 12  # log2 of how many rows gaps go through


class Rule(NamedTuple):
    """seed: a NumPy uint64; kind, neurons, synapses: integers; inhibitory: how many neurons are,
    where weights are by type, or -1; gap: 1 / ln(1 - p), 0 for p = 1 (PROBABILITY); keys:
    uint32[k, 4] (PAIRED); side: of a grid, or 0 of a ring; bound: int64[k + 1], where strata of
    cells begin; offset: int32[cells, 2], x and y of each; limit: uint32[cells], the largest word
    with which it is taken from its stratum (OFFSETS)."""

    seed: Any
    kind: int
    neurons: int
    synapses: int
    inhibitory: int
    gap: float
    keys: Any
    side: int
    bound: Any
    offset: Any
    limit: Any


class Synapses(NamedTuple):
    """What all weights follow from. values: float64[...], the table of weights."""

    rule: Rule
    values: Any


class _Room(NamedTuple):
    """Of one column: target: uint32[...], index: int32[...], word: uint64[...]."""

    target: Any
    index: Any
    word: Any


@njit(cache=True)
def _room(rule, first, stop):
    most = stop - first if rule.kind == PROBABILITY else rule.synapses
    return _Room(np.empty(most, np.uint32), np.empty(most, np.int32), np.empty(most, np.uint64))


@njit(cache=True)
def column(rule, j, first, stop, room):
    """The targets of neuron j in [first, stop), as global indices, and of each its index into the
    table, in `room`. Returns how many there are."""
    if first == stop:
        return 0
    if rule.kind == STRATIFIED:
        count = _stratified(rule, j, first, stop, room)
    elif rule.kind == PROBABILITY:
        count = _with_gaps(rule, j, first, stop, room)
    elif rule.kind == PAIRED:
        count = _paired(rule, j, first, stop, room)
    else:
        count = _at_offsets(rule, j, first, stop, room)
    if rule.inhibitory >= 0:
        room.index[:count] = inhibits(rule, j)
    return count


@njit(cache=True)
def inhibits(rule, j):
    """Whether neuron j is inhibitory: one of each stratum of neurons, as many as there are such."""
    if rule.inhibitory <= 0:
        return False
    s = ((j + 1) * rule.inhibitory - 1) // rule.neurons
    low = s * rule.neurons // rule.inhibitory
    high = (s + 1) * rule.neurons // rule.inhibitory
    word = _words(rule.seed, s, 0, TYPE)[0]
    return j == low + part(word, high - low)


@njit(cache=True)
def _words(seed, number, source, ticket):
    """A draw, compiled once."""
    return draw(seed, number, source, ticket, WEIGHT)


# --------------------------------------------------------------------------------------- the kinds
@njit(cache=True)
def _stratified(rule, j, first, stop, room):
    n, k = rule.neurons, rule.synapses
    step, more = n // k, n % k
    q, last = ((first + 1) * k - 1) // n, (stop * k - 1) // n
    low, rest = q * n // k, q * n % k
    count = 0
    a = b = c = d = np.uint64(0)
    if q & 1:
        a, b, c, d = _words(rule.seed, q >> 1, j, SYNAPSE)
    while q <= last:
        high, rest = low + step, rest + more
        if rest >= k:
            high, rest = high + 1, rest - k
        if q & 1:
            a, b = c, d
        else:
            a, b, c, d = _words(rule.seed, q >> 1, j, SYNAPSE)
        i = low + part(a, high - low)
        if first <= i < stop:
            room.target[count] = i
            room.index[count] = np.int32(b >> np.uint64(16))
            count += 1
        q, low = q + 1, high
    return count


@njit(cache=True)
def _with_gaps(rule, j, first, stop, room):
    count = 0
    for block in range(first >> _ROWS, ((stop - 1) >> _ROWS) + 1):
        end = min(stop, (block + 1) << _ROWS)
        i, number = np.int64((block << _ROWS) - 1), 0
        a = b = c = d = np.uint64(0)
        while True:
            if number & 1:
                a, b = c, d
            else:
                name = block << (_ROWS + 1) | number >> 1
                a, b, c, d = _words(rule.seed, name, j, GAP)
            number += 1
            u = (np.float64(a) + 0.5) * 2.3283064365386963e-10
            i = np.int64(i + 1 + ln(u) * rule.gap)
            if i >= end:
                break
            if i >= first:
                room.target[count] = i
                room.index[count] = np.int32(b >> np.uint64(16))
                count += 1
    return count


@njit(cache=True)
def _paired(rule, j, first, stop, room):
    """Of pairings that give j the same partner the first counts."""
    n = rule.neurons
    height = np.int64(np.ceil(np.sqrt(np.float64(n))))
    width = (n + height - 1) // height
    above, across = j // width, j % width
    found = 0
    for q in range(rule.synapses):
        i, place = partner(rule.keys[q], above, across, n, height, width)
        if first <= i < stop:
            index = _words(rule.seed, q, place >> 1, PAIR)[0] >> np.uint64(16)
            word = np.uint64(i) << np.uint64(38) | np.uint64(q) << np.uint64(16) | index
            room.word[found] = word
            found += 1
    return _sorted(room, found)


@njit(cache=True)
def _at_offsets(rule, j, first, stop, room):
    n, side = rule.neurons, rule.side
    found = 0
    a = b = c = d = np.uint64(0)
    for q in range(rule.synapses):
        if q & 1:
            a, b = c, d
        else:
            a, b, c, d = _words(rule.seed, q >> 1, j, SYNAPSE)
        low, high = rule.bound[q], rule.bound[q + 1] - 1
        while low < high:
            middle = (low + high) >> 1
            if rule.limit[middle] < a:
                low = middle + 1
            else:
                high = middle
        if side:
            x = (j % side + rule.offset[low, 0]) % side
            i = (j // side + rule.offset[low, 1]) % side * side + x
        else:
            i = (j + rule.offset[low, 0]) % n
        if first <= i < stop:
            room.word[found] = np.uint64(i) << np.uint64(38) | b >> np.uint64(16)
            found += 1
    return _sorted(room, found)


@njit(cache=True)
def _sorted(room, found):
    """Words of target, number and index as a column; of a target twice the first."""
    words = room.word[:found]
    words.sort()
    count = 0
    for word in words:
        i = word >> np.uint64(38)
        if count == 0 or room.target[count - 1] != i:
            room.target[count] = i
            room.index[count] = np.int32(word & np.uint64(0xFFFF))
            count += 1
    return count


# ------------------------------------------------------------------------------ columns and rows
@njit(cache=True)
def fill(rule, units, first, stop, columns):
    """columns: `sparse.Columns` (out), of the targets in [first, stop); units: int32[...], the
    table in weight units. Returns how many weights are not zero: all are there if there is room
    for them."""
    room = _room(rule, first, stop)
    kind = columns.weight.dtype.type
    at, most = 0, columns.target.size
    start = columns.start[0]  # there is one tile
    start[0] = 0
    for j in range(rule.neurons):
        for e in range(column(rule, j, first, stop, room)):
            weight = units[room.index[e]]
            if weight != 0:
                if at < most:
                    columns.target[at] = room.target[e] - first
                    columns.weight[at] = kind(weight)
                at += 1
        start[j + 1] = at
    return at


@njit(cache=True)
def rows(rule, values, start, stop):
    """Rows of W: int64[stop - start + 1], where each begins; of each weight its source, uint32,
    rising in a row, and itself, float64."""
    room = _room(rule, start, stop)
    row = np.zeros(stop - start + 1, np.int64)
    for j in range(rule.neurons):
        for e in range(column(rule, j, start, stop, room)):
            row[room.target[e] - start + 1] += 1
    row = np.cumsum(row)
    free = row[:-1].copy()
    source, weight = np.empty(row[-1], np.uint32), np.empty(row[-1], np.float64)
    for j in range(rule.neurons):
        for e in range(column(rule, j, start, stop, room)):
            i = room.target[e] - start
            source[free[i]] = j
            weight[free[i]] = values[room.index[e]]
            free[i] += 1
    return row, source, weight


@njit(cache=True)
def column_of(rule, values, j):
    """The targets of neuron j, uint32, and its weights, float64."""
    first = np.int64(0)
    room = _room(rule, first, rule.neurons)
    found = column(rule, np.int64(j), first, rule.neurons, room)
    return room.target[:found], values[room.index[:found]]


@njit(cache=True)
def gap(p):
    """1 / ln(1 - p)."""
    return 1.0 / ln(1.0 - p)


@njit(cache=True)
def types(rule):
    """uint8[N], 1 for inhibitory neurons."""
    found = np.empty(rule.neurons, np.uint8)
    for j in range(rule.neurons):
        found[j] = inhibits(rule, j)
    return found
