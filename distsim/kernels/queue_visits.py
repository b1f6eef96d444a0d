"""The walk of a BM on sparse columns: visit by visit, each flip's column added at once.

What `walk_visits.py` does on dense ones. It has no twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.sparse import column
from distsim.kernels.walk import goes_on
from distsim.kernels.walk_draws import CHUNK, Chunk, draw_visits, follows
from distsim.kernels.walk_visits import note
from distsim.kernels.window import after_steps, segment_at, steps_of

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
def _through(scan, motion, visits, chunk, log, made):
    """Make a chunk of visits. Returns how many events there are."""
    columns, z, x, _, clamped, _, _ = motion
    count, step, tick, _ = chunk
    for q in range(count):
        if q + _AHEAD < count:
            i = visits.neuron[q + _AHEAD]
            likely = follows(scan, motion, visits, chunk, q + _AHEAD, np.int64(z[i]))
            if likely != x[i] and not clamped[i]:
                begin, end = column(columns, i)
                for e in range(begin, end, _PART):
                    prefetch((columns.target, columns.weight), e)  # type: ignore[call-arg]
        i = visits.neuron[q]
        total = np.int64(z[i])
        new = follows(scan, motion, visits, chunk, q, total)
        if new != x[i] and not clamped[i]:
            x[i] = new
            note(log, made, i, new, total, tick + q, step + q + 1)
            made += 1
            begin, end = column(columns, i)
            _push(z, columns, begin, end, new == 1)
    return made


@njit(cache=True, error_model="numpy")
def walk_visits_sparse(scan, course, most, motion, clock, ends, visits, log):
    """Walk through windows, as `walk_visits.walk_visits` does; motion.columns: `sparse.Columns`."""
    made = first = windows = segment = 0
    before = clock
    while goes_on(ends, log.time, first, made, windows, clock[1]):
        number, high, low, _ = clock
        segment = segment_at(course.times, segment, high, low)
        size = steps_of(clock, most, course.times[segment + 1])
        if made + size > log.event.size:
            break
        before, first = clock, made
        done = 0
        while done < size:
            chunk = Chunk(min(CHUNK, size - done), number + done, done + 1, course.scales[segment])
            draw_visits(scan, motion.rest, chunk, visits)
            made = _through(scan, motion, visits, chunk, log, made)
            done += chunk.visits
        clock = after_steps(clock, size, made - first, course.targets[segment], most)
        windows += 1
    return windows, made, first, before, clock
