"""The walk of a BM on a rank that needs no other: visit by visit, many windows in one call.

A visit's ticket is drawn by its step alone, so that thresholds are drawn in vectors, before the
dynamics. Then

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
from distsim.kernels.elementary import exponential, ln, uniform
from distsim.kernels.events import event_word, to_threshold
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.philox import UPDATE, draw
from distsim.kernels.walk import goes_on
from distsim.kernels.window import after_steps, segment_at, steps_of

CHUNK = 256  # visits whose thresholds are drawn together
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
    """A chunk of visits: neuron: int64; up: int64, the least z that leads to state 1 (to stay
    there, at T = 0), of logit: float64; part: int64, z of a block."""

    neuron: Any
    up: Any
    logit: Any
    part: Any


def make_visits() -> Visits:
    return Visits(
        neuron=np.empty(CHUNK, np.int64),
        up=np.empty(CHUNK, np.int64),
        logit=np.empty(CHUNK),
        part=np.empty(_PART, np.int64),
    )


@njit(**UNCOUNTED)
def draw_visits(scan, rest, chunk, visits):
    """Draw the visits of a chunk."""
    neuron, up, logit, _ = visits
    seed, replica, neurons, sequential, _, _, _ = scan
    count, step, _, scale = chunk
    if sequential:
        i = step % neurons
        for q in range(count):
            neuron[q] = i
            i = i + 1 if i + 1 < neurons else 0
    else:
        for q in range(count):
            neuron[q] = visited(seed, replica, step + q, neurons, False)
    for q in range(count):
        a, b, _, _ = draw(seed, neuron[q], (step + q) | replica, 0, UPDATE)
        u = uniform(a, b)
        logit[q] = ln(u) + exponential(u)
    for q in range(count):
        up[q] = to_threshold(scale * logit[q] - rest[neuron[q]])


@njit(inline="always")
def least(up, scale, rest, state):
    """The least z at which a neuron takes state 1; at T = 0 it keeps its own where z u + b is 0."""
    if scale > 0.0:
        return up
    return -np.int64(np.floor(rest)) if state else np.int64(np.floor(-rest)) + 1


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
def note(log, made, neuron, new, z, tick, step):
    """Event number `made`: a neuron takes the state `new` at this z."""
    log.event[made] = event_word(tick, neuron) | np.uint64(new)
    log.time[made] = np.float64(step)
    log.doubled[made] = 2 * z if new == 0 else -2 * z


@njit(**UNCOUNTED)
def _eager(motion, visits, chunk, log, made):
    """Make a chunk of visits, each flip's column added at once.

    Returns how many events there are.
    """
    columns, z, x, rest, clamped = motion
    neuron, ups, _, _ = visits
    count, step, tick, scale = chunk
    for q in range(count):
        i = neuron[q]
        state = x[i]
        total = np.int64(z[i])
        new = np.uint8(total >= least(ups[q], scale, rest[i], state))
        if new != state and not clamped[i]:
            x[i] = new
            note(log, made, i, new, total, tick + q, step + q + 1)
            made += 1
            _push(z, column(columns, i), new == 1)
    return made


@njit(cache=True, error_model="numpy")
def _blocks(motion, visits, chunk, log, made):
    """As `_eager`, for visits of the sequential scan, by blocks of up to twelve flips."""
    columns, z, x, rest, clamped = motion
    neuron, ups, _, part = visits
    count, step, tick, scale = chunk
    at = 0
    while at < count:
        first = neuron[at]
        size = min(_PART, count - at, x.size - first)
        for k in range(size):
            part[k] = z[first + k]
        begin = made
        k = 0
        while k < size and made - begin < PASS:
            i = first + k
            state = x[i]
            new = np.uint8(part[k] >= least(ups[at + k], scale, rest[i], state))
            if new != state and not clamped[i]:
                x[i] = new
                note(log, made, i, new, part[k], tick + at + k, step + at + k + 1)
                made += 1
                w = column(columns, i)
                if new:
                    for m in range(k + 1, size):
                        part[m] += np.int64(w[np.uint64(first + m)])
                else:
                    for m in range(k + 1, size):
                        part[m] -= np.int64(w[np.uint64(first + m)])
            k += 1
        accumulate(columns, log.event[begin:made], z)
        at += k
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
            chunk = Chunk(min(CHUNK, size - done), number + done, done + 1, course.scales[segment])
            draw_visits(scan, motion.rest, chunk, visits)
            if small:
                made = _eager(motion, visits, chunk, log, made)
            else:
                made = _blocks(motion, visits, chunk, log, made)
            done += chunk.visits
        clock = after_steps(clock, size, made - first, course.targets[segment], most)
        windows += 1
    return windows, made, first, before, clock
