"""The visits that a BM's walk makes: to whom, and from which z on they lead to state 1.

Those of a chunk are drawn together, in vectors: of the sequential scan up to an error, within which
the ticket itself decides (`updates.py`). It has no twin.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.boltzmann import visited
from distsim.kernels.events import event_word, to_threshold
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.updates import (
    LOGIT_ERROR,
    quads,
    random_logit,
    rough_logit,
    sweep_threshold,
    threshold_at_rest,
)

CHUNK = 256  # visits whose thresholds are drawn together
_VECTOR = 8  # draws are made so many at a time
_ROUNDING = 2.0**-48  # of a threshold of few weight units
PART = 64  # neurons that a block may visit


class Chunk(NamedTuple):
    """So many visits, from `step` on, which is the `tick`-th of its window; scale: T in weight
    units."""

    visits: int
    step: int
    tick: int
    scale: float


class Visits(NamedTuple):
    """A chunk of visits: neuron: int64, local; low, high: float64, bounds on the z that leads to
    state 1, NaN where there are none. What they are made of in the sequential scan: group, sweep:
    int64, of a draw; words: uint32, logit: float32, four a draw; place: int64, the draw of a visit.
    part: int64, z of a block."""

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
        neuron=np.empty(CHUNK, np.int64),
        low=np.empty(CHUNK),
        high=np.empty(CHUNK),
        group=np.zeros(CHUNK, np.int64),
        sweep=np.zeros(CHUNK, np.int64),
        words=np.empty(4 * CHUNK, np.uint32),
        logit=np.empty(4 * CHUNK, np.float32),
        place=np.empty(CHUNK, np.int64),
        part=np.empty(PART, np.int64),
    )


@njit(**UNCOUNTED)
def draw_visits(scan, rest, chunk, visits):
    """Draw the visits of a chunk, all to local neurons. At T = 0 thresholds depend on states, and
    have no bounds."""
    seed, replica, neurons, sequential, first, _, _ = scan
    count, step, _, scale = chunk
    neuron, low, high, _, _, _, _, _, _ = visits
    groups = 0
    if sequential:
        groups = _groups(neurons, first, chunk, visits)
    else:
        for q in range(count):
            neuron[q] = visited(seed, replica, step + q, neurons) - first
    if scale == 0.0:
        low[:count] = high[:count] = np.nan
    elif sequential:
        _screen(scan, rest, chunk, visits, groups)
    else:
        for q in range(count):
            low[q] = random_logit(seed, replica, step + q, first + neuron[q])
        for q in range(count):
            low[q] = high[q] = scale * low[q] - rest[neuron[q]]


@njit(**UNCOUNTED)
def _groups(neurons, first, chunk, visits):
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
        neuron[q] = i - first
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
        rough = np.float64(logit[(scan.first + neuron[q] & 3) * groups + place[q]])
        theta = chunk.scale * rough - rest[neuron[q]]
        low[q] = theta - error
        high[q] = theta + error


@njit(**UNCOUNTED)
def _least(scan, step, i, theta, scale, rest, state):
    """The least z that leads to state 1; theta: of the random scan, at T > 0."""
    if scan.sequential:
        sweep = step // scan.neurons
        return sweep_threshold(scan.seed, scan.replica, sweep, scan.first + i, scale, rest, state)
    if scale == 0.0:
        return threshold_at_rest(rest, state)
    return to_threshold(theta)


@njit(inline="always")
def follows(scan, motion, visits, chunk, q, z):
    """The state to which visit q leads."""
    low, high = visits.low[q], visits.high[q]
    up = np.float64(z) > high
    if up == (np.float64(z) < low):
        i = visits.neuron[q]
        least = _least(scan, chunk.step + q, i, low, chunk.scale, motion.rest[i], motion.x[i])
        up = z >= least
    return np.uint8(up)


@njit(inline="always")
def note(log, made, neuron, new, z, tick, step):
    """Event number `made`: a neuron takes the state `new` at this z."""
    log.event[made] = event_word(tick, neuron) | np.uint64(new)
    log.time[made] = np.float64(step)
    log.doubled[made] = 2 * z if new == 0 else -2 * z
