"""The visits of a BM's walk on sparse columns: each flip's column is added at once.

It has no twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.sparse import column
from distsim.kernels.walk_draws import follows, note

_AHEAD = 4  # visits ahead whose columns are prefetched
_PART = LINE // 4  # targets in a line of the caches


@njit(**UNCOUNTED)
def _push(z, columns, begin, end, up):
    """Add a column to z, or subtract it."""
    kind = z.dtype.type
    target, weight = columns.target, columns.weight
    if up:
        for e in range(begin, end):
            i = target[e]
            z[i] = kind(z[i] + kind(weight[e]))
    else:
        for e in range(begin, end):
            i = target[e]
            z[i] = kind(z[i] - kind(weight[e]))


@njit(**UNCOUNTED)
def through(scan, motion, visits, chunk, log, made):
    """Make a chunk of visits. Returns how many events there are."""
    columns, z, x, _, clamped, first, _ = motion
    count, step, tick, _ = chunk
    for q in range(count):
        if q + _AHEAD < count:
            i = visits.neuron[q + _AHEAD]
            likely = follows(scan, motion, visits, chunk, q + _AHEAD, np.int64(z[i]))
            if likely != x[i] and not clamped[i]:
                begin, end = column(columns, first + i)
                for e in range(begin, end, _PART):
                    prefetch((columns.target, columns.weight), e)  # type: ignore[call-arg]
        i = visits.neuron[q]
        total = np.int64(z[i])
        new = follows(scan, motion, visits, chunk, q, total)
        if new != x[i] and not clamped[i]:
            x[i] = new
            note(log, made, first + i, new, total, tick + q, step + q + 1)
            made += 1
            begin, end = column(columns, first + i)
            _push(z, columns, begin, end, new == 1)
    return made
