"""The best plain programs found for sparse weights, as one would write them in C: yardsticks.

float32 weights and responses, the column of a source contiguous, its targets in memory's order,
xoshiro256+ (Blackman, Vigna 2021), arithmetic in any order. `studies.plain_loops` times them.
"""

import numpy as np
from numba import njit

from distsim.kernels.sparse import column

_UNIT = 1.1102230246251565e-16  # 2^-53


@njit(inline="always")
def _next(state):
    """64 random bits; state: uint64[4]."""
    a, b, c, d = state[0], state[1], state[2] ^ state[0], state[3] ^ state[1]
    result = a + state[3]
    state[0], state[1], state[2] = a ^ d, b ^ c, c ^ (b << np.uint64(17))
    state[3] = (d << np.uint64(45)) | (d >> np.uint64(19))
    return result


@njit(inline="always")
def _uniform(state):
    return (np.float64(_next(state) >> np.uint64(11)) + 0.5) * _UNIT


@njit(cache=True, fastmath=True)
def thin(columns, weight, z, s, scale, events, state):
    """So many transitions of an MPM by thinning (Lewis, Shedler 1979): candidates of a rate that
    none exceeds, whose bound is renewed now and then.

    columns: `sparse.Columns` of one tile, whose weights are not looked at; weight: float32[...]; z:
    float32[N]; s: float32[N], 1 - 2 x; scale: 1 / (2 tau). Returns the model time.
    """
    n = s.size
    time = 0.0
    bound = _bound(z, s)
    for k in range(events):
        rate = np.exp(np.float32(scale) * bound)
        waits = 0.0
        while True:
            i = np.int64((_next(state) >> np.uint64(32)) * np.uint64(n) >> np.uint64(32))
            waits -= np.log(_uniform(state))
            if _uniform(state) < np.exp(np.float32(scale) * (s[i] * z[i] - bound)):
                break
        time += waits / (n * rate)
        a = s[i]
        s[i] = -a
        begin, end = column(columns, i)
        for e in range(begin, end):
            j = np.int64(columns.target[e])
            value = z[j] + a * weight[e]
            z[j] = value
            bound = max(bound, s[j] * value)
        bound = max(bound, s[i] * z[i])
        if k % (n // 4 + 1) == 0:
            bound = _bound(z, s)
    return time


@njit(fastmath=True)
def _bound(z, s):
    bound = s[0] * z[0]
    for j in range(s.size):
        bound = max(bound, s[j] * z[j])
    return bound


@njit(cache=True, fastmath=True)
def scan(columns, weight, z, s, scale, state):
    """A sweep of a BM, as `thin`. scale: 1 / T. Returns how many neurons changed."""
    changed = 0
    for i in range(s.size):
        u = np.float32(_uniform(state))
        on = u * (np.float32(1.0) + np.exp(-z[i] * np.float32(scale))) < np.float32(1.0)
        if on == (s[i] > 0):
            a = s[i]
            s[i] = -a
            changed += 1
            begin, end = column(columns, i)
            for e in range(begin, end):
                z[columns.target[e]] += a * weight[e]
    return changed
