"""The walk of a BM on the ranks of one host: visit by visit, many windows in one call.

A visit's ticket is drawn by its step alone, so that thresholds are drawn in vectors, before the
dynamics (`walk_draws.py`). Then

    eager     a flip's column is added to all of z at once: small networks, and the random scan
    blocks    some visits of the sequential scan decide on a copy of their part of z, which alone
              has their flips' columns added; then all of z has, twelve columns a pass

Of several ranks each visits its own neurons, when their turn has come; the others add the columns
of its flips, which it puts where all see them, to their parts of z meanwhile.

At each visit z is exact: of its own neuron's z all earlier flips are in the part or in z. Windows
only cut the steps; here they are counted as the other engines count them. It has no twin.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload

from distsim.kernels import queue_visits, sparse_apply
from distsim.kernels.apply import PASS, accumulate
from distsim.kernels.boltzmann import visited
from distsim.kernels.dense import column
from distsim.kernels.meeting import Places, meet, tell, told, wait
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.walk import goes_on
from distsim.kernels.walk_draws import CHUNK, PART, Chunk, draw_visits, follows, note
from distsim.kernels.window import after_steps, segment_at, steps_of

_PULLS = 8  # passes of flips of other ranks that are added at once
_EAGER = 4096  # bytes of a column up to which flips are added at once


class Motion(NamedTuple):
    """The network in motion: its columns; z: int[n]; x: uint8[n]; rest: float64[n], of the bias;
    clamped: bool[n]; first: of the local neurons; places: where the ranks meet."""

    columns: Any
    z: Any
    x: Any
    rest: Any
    clamped: Any
    first: int
    places: Places


@njit(**UNCOUNTED)
def _push(z, w, up):
    """Add the column w to z, or subtract it."""
    kind = z.dtype.type
    if up:
        for i in range(z.size):
            z[i] = kind(z[i] + kind(w[i]))
    else:
        for i in range(z.size):
            z[i] = kind(z[i] - kind(w[i]))


@njit(**UNCOUNTED)
def _eager(scan, motion, visits, chunk, log, made):
    """Make a chunk of visits, each flip's column added at once.

    Returns how many events there are.
    """
    columns, z, x, _, clamped, first, _ = motion
    count, step, tick, _ = chunk
    for q in range(count):
        i = visits.neuron[q]
        total = np.int64(z[i])
        new = follows(scan, motion, visits, chunk, q, total)
        if new != x[i] and not clamped[i]:
            x[i] = new
            note(log, made, first + i, new, total, tick + q, step + q + 1)
            made += 1
            _push(z, column(columns, first + i), new == 1)
    return made


@njit(**UNCOUNTED)
def _block(scan, motion, visits, chunk, at, log, made):
    """Make visits of a chunk of the sequential scan from the one at `at` on, of up to twelve flips,
    whose columns are added to their own part of z only.

    Returns how many visits, and events, there are then.
    """
    columns, z, x, _, clamped, first, _ = motion
    part = visits.part
    count, step, tick, _ = chunk
    start = visits.neuron[at]
    size = min(PART, count - at, x.size - start)
    for k in range(size):
        part[k] = z[start + k]
    most = made + PASS
    k = 0
    while k < size and made < most:
        i = start + k
        new = follows(scan, motion, visits, chunk, at + k, part[k])
        if new != x[i] and not clamped[i]:
            x[i] = new
            note(log, made, first + i, new, part[k], tick + at + k, step + at + k + 1)
            made += 1
            w = column(columns, first + i)
            if new:
                for m in range(k + 1, size):
                    part[m] += np.int64(w[np.uint64(start + m)])
            else:
                for m in range(k + 1, size):
                    part[m] -= np.int64(w[np.uint64(start + m)])
        k += 1
    return at + k, made


@njit(cache=True, error_model="numpy")
def _blocks(scan, motion, visits, chunk, log, made):
    """As `_eager`, for visits of the sequential scan, by blocks of up to twelve flips."""
    at = 0
    while at < chunk.visits:
        begin = made
        at, made = _block(scan, motion, visits, chunk, at, log, made)
        if made > begin:
            accumulate(motion.columns, log.event[begin:made], motion.z)
    return made


def _make(columns, scan, motion, visits, chunk, log, made):
    raise NotImplementedError


@overload(_make)
def _make_of(columns, scan, motion, visits, chunk, log, made):
    """Make a chunk of visits. Returns how many events there are."""

    def of_dense(columns, scan, motion, visits, chunk, log, made):
        if motion.x.size * columns.itemsize <= _EAGER or not scan.sequential:
            return _eager(scan, motion, visits, chunk, log, made)
        return _blocks(scan, motion, visits, chunk, log, made)

    def of_sparse(columns, scan, motion, visits, chunk, log, made):
        return queue_visits.through(scan, motion, visits, chunk, log, made)

    return of_dense if isinstance(columns, types.Array) else of_sparse


def _in_tile(columns, i, n, run):
    raise NotImplementedError


@overload(_in_tile)
def _in_tile_of(columns, i, n, run):
    """How many of a run of visits, from local neuron i on, settle together."""
    if isinstance(columns, types.Array):
        return lambda columns, i, n, run: run
    return lambda columns, i, n, run: queue_visits.in_tile(columns, i, n, run)


def _settle(columns, events, first, z):
    raise NotImplementedError


@overload(_settle)
def _settle_of(columns, events, first, z):
    """Add the columns of a run's events to the tiles that they are not of."""
    if isinstance(columns, types.Array):
        return lambda columns, events, first, z: None
    return lambda columns, events, first, z: queue_visits.settle(columns, events, first, z)


def _add(columns, events, z):
    raise NotImplementedError


@overload(_add)
def _add_of(columns, events, z):
    """Add the columns of events to z."""
    if isinstance(columns, types.Array):
        return lambda columns, events, z: accumulate(columns, events, z)
    return lambda columns, events, z: sparse_apply.accumulate(columns, events, z)


@njit(inline="always")
def _run(scan, step, most):
    """How many visits from `step` on, at most so many, are all to local neurons or all to others;
    whether to local ones."""
    if not scan.sequential:
        own = _is_local(scan, step)
        count = 1
        while count < most and _is_local(scan, step + count) == own:
            count += 1
        return count, own
    i = step % scan.neurons
    if scan.first <= i < scan.first + scan.size:
        return min(most, scan.first + scan.size - i), True
    until = scan.first - i if i < scan.first else scan.neurons - i
    return min(most, until), False


@njit(inline="always")
def _is_local(scan, step):
    i = visited(scan.seed, scan.replica, step, scan.neurons)
    return scan.first <= i < scan.first + scan.size


@njit(cache=True, error_model="numpy")
def _listen(motion, log, step, pulled):
    """Until the run has come to `step`; the flips of other ranks are added to z, those before
    `pulled` have been. Returns how many there are."""
    spins = 0
    while True:
        now, made = told(motion.places)
        if made >= pulled + PASS or (now >= step and made > pulled):
            made = min(made, pulled + PASS * _PULLS)
            _add(motion.columns, log.event[pulled:made], motion.z)  # type: ignore[no-untyped-call]
            pulled, spins = made, 0
        elif now >= step:
            return pulled
        else:
            spins = wait(spins)


@njit(cache=True, error_model="numpy", nogil=True)
def walk_visits(scan, course, most, motion, clock, ends, visits, log):
    """Walk through windows, z and x in place; log: room for as many events as visits (out). clock:
    `window.Clock`'s fields; most: steps of a window.

    Of several ranks the log is the same memory for all. Returns what `walk` does: (windows; events;
    index of the last one's first event; the clock before the last one, and after it).
    """
    made = pulled = first = windows = segment = 0
    before = clock
    places = motion.places
    several = places.ranks > 1
    if several:  # once all have left the last walk, and before any has begun this one
        if places.rank == 0:
            tell(places, clock[0], 0)
        meet(places)
    while goes_on(ends, log.time, first, made, windows, clock[1]):
        number, high, low, _ = clock
        segment = segment_at(course.times, segment, high, low)
        size = steps_of(clock, most, course.times[segment + 1])
        if made + size > log.event.size:
            break
        before, first = clock, made
        done = 0
        while done < size:
            run, own = size - done, True
            if several:
                run, own = _run(scan, number + done, run)
                pulled = _listen(motion, log, number + done + (0 if own else run), pulled)
                made = pulled
            if own and scan.sequential:
                local = (number + done) % scan.neurons - motion.first
                run = _in_tile(motion.columns, local, scan.size, run)  # type: ignore[no-untyped-call]
            stop = done + run
            while own and done < stop:
                at = number + done
                if scan.sequential and motion.clamped[at % scan.neurons - motion.first]:
                    done += 1
                else:
                    chunk = Chunk(min(CHUNK, stop - done), at, done + 1, course.scales[segment])
                    draw_visits(scan, motion.rest, chunk, visits)
                    made = _make(motion.columns, scan, motion, visits, chunk, log, made)  # type: ignore[no-untyped-call]
                    done += chunk.visits
                if several:
                    tell(places, number + done, made)
            if own and scan.sequential:
                _settle(motion.columns, log.event[pulled:made], motion.first, motion.z)  # type: ignore[no-untyped-call]
            pulled, done = made, stop
        if several:  # another may be in the next window
            made = first
            while made < pulled and log.time[made] <= number + size:
                made += 1
        clock = after_steps(clock, size, made - first, course.targets[segment], most)
        windows += 1
    return windows, made, first, before, clock
