"""The walk of a BM on a rank that needs no other: visit by visit, many windows in one call.

A visit's ticket is drawn by its step alone, so that thresholds are drawn in vectors, before the
dynamics: of the sequential scan up to an error, within which the ticket itself decides
(`updates.py`). Then

    eager     a flip's column is added to all of z at once: small networks, and the random scan
    blocks    some visits of the sequential scan decide on a copy of their part of z, which alone
              has their flips' columns added; then all of z has, twelve columns a pass

At each visit z is exact: of its own neuron's z all earlier flips are in the part or in z. Windows
only cut the steps; here they are counted as the other engines count them. It has no twin.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.apply import PASS, accumulate
from distsim.kernels.boltzmann import visited
from distsim.kernels.dense import column
from distsim.kernels.events import event_word, to_threshold
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.updates import LOGIT_ERROR, quads, random_logit, rough_logit, sweep_logit
from distsim.kernels.walk import goes_on
from distsim.kernels.window import after_steps, segment_at, steps_of

_CHUNK = 256  # visits whose thresholds are drawn together
_VECTOR = 8  # draws are made so many at a time
_ROUNDING = 2.0**-48  # of a threshold of few weight units
_PART = 64  # neurons that a block may visit
_EAGER = 4096  # bytes of a column up to which flips are added at once


class Motion(NamedTuple):
    """The network in motion: its columns; z: int[n]; x: uint8[n]; rest: float64[n], of the bias;
    clamped: bool[n]."""

    columns: Any
    z: Any
    x: Any
    rest: Any
    clamped: Any


class Chunk(NamedTuple):
    """So many visits, from `step` on, which is the `tick`-th of its window; scale: T in weight
    units."""

    visits: int
    step: int
    tick: int
    scale: float


class Visits(NamedTuple):
    """A chunk of visits: neuron: int64; low, high: float64, bounds on the z that leads to state 1,
    NaN where there are none. What they are made of in the sequential scan: group, sweep: int64, of
    a draw; words: uint32, logit: float32, four a draw; place: int64, the draw of a visit. part:
    int64, z of a block."""

    neuron: Any
    low: Any
    high: Any
    group: Any
    sweep: Any
    words: Any
    logit: Any
    place: Any
    part: Any


def make_visits() -> Visits:
    return Visits(
        neuron=np.empty(_CHUNK, np.int64),
        low=np.empty(_CHUNK),
        high=np.empty(_CHUNK),
        group=np.zeros(_CHUNK, np.int64),
        sweep=np.zeros(_CHUNK, np.int64),
        words=np.empty(4 * _CHUNK, np.uint32),
        logit=np.empty(4 * _CHUNK, np.float32),
        place=np.empty(_CHUNK, np.int64),
        part=np.empty(_PART, np.int64),
    )


@njit(**UNCOUNTED)
def _draw(scan, rest, chunk, visits):
    """Draw the visits of a chunk. At T = 0 thresholds depend on states, and have no bounds."""
    seed, replica, neurons, sequential, _, _, _ = scan
    count, step, _, scale = chunk
    neuron, low, high, _, _, _, _, _, _ = visits
    groups = 0
    if sequential:
        groups = _groups(neurons, chunk, visits)
    else:
        for q in range(count):
            neuron[q] = visited(seed, replica, step + q, neurons, False)
    if scale == 0.0:
        low[:count] = high[:count] = np.nan
    elif sequential:
        _screen(scan, rest, chunk, visits, groups)
    else:
        for q in range(count):
            low[q] = random_logit(seed, replica, step + q, neuron[q])
        for q in range(count):
            low[q] = high[q] = scale * low[q] - rest[neuron[q]]


@njit(**UNCOUNTED)
def _groups(neurons, chunk, visits):
    """Whom a chunk of the sequential scan visits, and by which draws; so many draws."""
    neuron, _, _, group, sweep, _, _, place, _ = visits
    s = chunk.step // neurons
    i = chunk.step - s * neurons
    groups = 0
    begins = True
    for q in range(chunk.visits):
        if begins:
            group[groups] = i >> 2
            sweep[groups] = s
            groups += 1
        neuron[q] = i
        place[q] = groups - 1
        i += 1
        begins = i & 3 == 0
        if i == neurons:
            i = 0
            s += 1
            begins = True
    return groups


@njit(**UNCOUNTED)
def _screen(scan, rest, chunk, visits, groups):
    """The bounds that the high halves of the uniforms give."""
    neuron, low, high, group, sweep, words, logit, place, _ = visits
    groups = -(-groups // _VECTOR) * _VECTOR  # with some that an earlier chunk left
    quads(scan.seed, scan.replica, group[:groups], sweep[:groups], 0, words)
    for k in range(np.uint64(4 * groups)):
        logit[k] = rough_logit(words[k])
    error = chunk.scale * LOGIT_ERROR + _ROUNDING
    for q in range(chunk.visits):
        rough = np.float64(logit[(neuron[q] & 3) * groups + place[q]])
        theta = chunk.scale * rough - rest[neuron[q]]
        low[q] = theta - error
        high[q] = theta + error


@njit(**UNCOUNTED)
def _least(scan, step, i, theta, scale, rest, state):
    """The least z that leads to state 1; at T = 0 a neuron keeps its own where z u + b is 0."""
    if scale == 0.0:
        return -np.int64(np.floor(rest)) if state else np.int64(np.floor(-rest)) + 1
    if scan.sequential:
        logit = sweep_logit(scan.seed, scan.replica, step // scan.neurons, i)
        theta = scale * logit - rest
    return to_threshold(theta)


@njit(inline="always")
def _follows(scan, motion, visits, chunk, q, z):
    """The state to which visit q leads."""
    low, high = visits.low[q], visits.high[q]
    up = np.float64(z) > high
    if up == (np.float64(z) < low):
        i = visits.neuron[q]
        least = _least(scan, chunk.step + q, i, low, chunk.scale, motion.rest[i], motion.x[i])
        up = z >= least
    return np.uint8(up)


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


@njit(inline="always")
def _note(log, made, neuron, new, z, tick, step):
    """Event number `made`: a neuron takes the state `new` at this z."""
    log.event[made] = event_word(tick, neuron) | np.uint64(new)
    log.time[made] = np.float64(step)
    log.doubled[made] = 2 * z if new == 0 else -2 * z


@njit(**UNCOUNTED)
def _eager(scan, motion, visits, chunk, log, made):
    """Make a chunk of visits, each flip's column added at once.

    Returns how many events there are.
    """
    columns, z, x, _, clamped = motion
    count, step, tick, _ = chunk
    for q in range(count):
        i = visits.neuron[q]
        total = np.int64(z[i])
        new = _follows(scan, motion, visits, chunk, q, total)
        if new != x[i] and not clamped[i]:
            x[i] = new
            _note(log, made, i, new, total, tick + q, step + q + 1)
            made += 1
            _push(z, column(columns, i), new == 1)
    return made


@njit(**UNCOUNTED)
def _block(scan, motion, visits, chunk, at, log, made):
    """Make visits of a chunk of the sequential scan from the one at `at` on, of up to twelve flips,
    whose columns are added to their own part of z only.

    Returns how many visits, and events, there are then.
    """
    columns, z, x, _, clamped = motion
    part = visits.part
    count, step, tick, _ = chunk
    first = visits.neuron[at]
    size = min(_PART, count - at, x.size - first)
    for k in range(size):
        part[k] = z[first + k]
    most = made + PASS
    k = 0
    while k < size and made < most:
        i = first + k
        new = _follows(scan, motion, visits, chunk, at + k, part[k])
        if new != x[i] and not clamped[i]:
            x[i] = new
            _note(log, made, i, new, part[k], tick + at + k, step + at + k + 1)
            made += 1
            w = column(columns, i)
            if new:
                for m in range(k + 1, size):
                    part[m] += np.int64(w[np.uint64(first + m)])
            else:
                for m in range(k + 1, size):
                    part[m] -= np.int64(w[np.uint64(first + m)])
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


@njit(cache=True, error_model="numpy")
def walk_visits(scan, course, most, motion, clock, ends, visits, log):
    """Walk through windows, z and x in place; log: room for as many events as visits (out). clock:
    `window.Clock`'s fields; most: steps of a window.

    Returns what `walk` does: (windows; events; index of the last one's first event; the clock
    before the last one, and after it).
    """
    made = first = windows = segment = 0
    before = clock
    small = motion.x.size * motion.columns.itemsize <= _EAGER or not scan.sequential
    while goes_on(ends, log.time, first, made, windows, clock[1]):
        number, high, low, _ = clock
        segment = segment_at(course.times, segment, high, low)
        size = steps_of(clock, most, course.times[segment + 1])
        if made + size > log.event.size:
            break
        before, first = clock, made
        done = 0
        while done < size:
            if scan.sequential and motion.clamped[(number + done) % scan.neurons]:
                done += 1
                continue
            chunk = Chunk(min(_CHUNK, size - done), number + done, done + 1, course.scales[segment])
            _draw(scan, motion.rest, chunk, visits)
            if small:
                made = _eager(scan, motion, visits, chunk, log, made)
            else:
                made = _blocks(scan, motion, visits, chunk, log, made)
            done += chunk.visits
        clock = after_steps(clock, size, made - first, course.targets[segment], most)
        windows += 1
    return windows, made, first, before, clock
