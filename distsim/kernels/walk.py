"""The walk: an MPM on a rank that needs no other, event by event, many windows in one call.

    open      the window's width and cap, from the largest s z
    begin     the tickets that are reached, in order of time; y = z - c
    for each ticket, by time
        it fires iff s z >= its threshold: z is exact at that moment
        push      the column of its neuron into y
        deepen    the neurons whose s z came to their lowest ticket not drawn: their y changed sign
    close     z = y + c; the clock

Nothing is guessed and nothing repeated. The stream is that of `engines.race` for these reasons. A
ticket that is drawn late and lies before the present one did not fire: until now s z was below its
threshold. Tickets that are drawn late and lie after it are put in order before the next is looked
at; order is by event word, and by number for one neuron at one tick. The window ends after the
event that makes `most`, or lifts some s z above the cap, which is seen as a ticket not drawn is: b
is never above cap + 1.

A sum is exact in y as it is in z: no |z| reaches 2^30 (int32) or 2^61 (int64) and no b is beyond,
so that |y| stays within its type. It has no twin yet.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.dense import column
from distsim.kernels.events import NO_EVENT, neuron_of
from distsim.kernels.mcculloch_pitts import largest_response
from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.record import event_times
from distsim.kernels.walk_room import Here
from distsim.kernels.walk_tickets import begin, deepen, limit_of, pivot
from distsim.kernels.window import (
    END_OF_TIME,
    after_window,
    end_word,
    margin_of,
    segment_at,
    tick_length,
    width_and_cap,
)

BLOCK = np.uint64(64)  # neurons: a constant, so that LLVM makes vectors of loops over them
_AHEAD = 1 << 13  # bytes of a column from which on the next one is prefetched


class Ends(NamedTuple):
    """Where a walk ends: after the window that makes so many events, or reaches or passes `until`
    in time (MPM) or steps (BM), or is the last of `windows`; and, of a run that has no end in time,
    after one without events, which may be at rest."""

    events: int
    until: float
    windows: int


class Log(NamedTuple):
    """The events that were made: uint64 words; float64 times; int64, by how much each changes 2 E
    in weight units. Only the beginnings are in use."""

    event: Any
    time: Any
    doubled: Any


@njit(inline="always")
def goes_on(ends, time, first, made, windows, now):
    """Whether there is another window after so many, the last of which ended at `now` and made the
    events from `first` on."""
    if made >= ends.events or windows >= ends.windows or now >= ends.until:
        return False
    if windows and made == first:
        return ends.until < END_OF_TIME
    return windows == 0 or time[made - 1] <= ends.until


@njit(**UNCOUNTED)
def push(y, w, up, ahead, prefetches, crossed):
    """Add the column w to y, or subtract it; crossed: int64[n] (out), where y changed its sign.

    ahead: the column that is likely the next, prefetched on the way if wished. Returns how many
    signs changed.
    """
    kind = y.dtype.type
    n = np.uint64(y.size)
    whole = n - n % BLOCK
    line = np.uint64(LINE // w.itemsize)
    found = 0
    for block in range(n // BLOCK):
        start = block * BLOCK
        if prefetches:
            for i in range(start, start + BLOCK, line):
                prefetch((ahead,), i)  # type: ignore[call-arg]
        changed = kind(0)
        if up:
            for k in range(BLOCK):
                old = y[start + k]
                new = kind(old + kind(w[start + k]))
                changed = kind(changed | kind(old ^ new))
                y[start + k] = new
        else:
            for k in range(BLOCK):
                old = y[start + k]
                new = kind(old - kind(w[start + k]))
                changed = kind(changed | kind(old ^ new))
                y[start + k] = new
        if changed < 0:
            found = _signs(y, w, up, start, start + BLOCK, crossed, found)
    changed = kind(0)
    m = kind(0) if up else kind(-1)  # (v ^ m) - m: v or -v
    for i in range(whole, n):
        old = y[i]
        new = kind(old + kind(kind(kind(w[i]) ^ m) - m))
        changed = kind(changed | kind(old ^ new))
        y[i] = new
    if changed < 0:
        found = _signs(y, w, up, whole, n, crossed, found)
    return found


@njit(**UNCOUNTED)
def _signs(y, w, up, start, stop, crossed, found):
    """The part of `crossed` from start to stop. Returns how many there are then."""
    kind = y.dtype.type
    for i in range(start, stop):
        old = kind(y[i] - kind(w[i])) if up else kind(y[i] + kind(w[i]))
        crossed[found] = i
        found += kind(old ^ y[i]) < 0
    return found


@njit(**UNCOUNTED)
def _fires_next(motion, queue, position, count):
    """The neuron of the next ticket that fires if nothing changes; 0 if there is none."""
    y, c, x = motion
    key, threshold, order = queue
    for o in range(position, count):
        t = order[o]
        j = neuron_of(key[t])
        z = np.int64(y[j]) + np.int64(c[j])
        if (-z if x[j] else z) >= threshold[t, x[j]]:
            return j
    return 0


@njit(**UNCOUNTED)
def _through(rule, here, columns, motion, tickets, log, count, made):
    """Walk through a window whose tickets are drawn, `count` of them. log (out): but for times.

    Returns (events in all, whether the window ended early, whether there was no room).
    """
    y, c, x = motion
    queue, crossed = tickets.queue, tickets.lanes.crossed
    key, threshold, order = queue
    kind = y.dtype.type
    cap = here.cap
    most = made + here.most
    large = x.size * columns.itemsize >= _AHEAD
    position = 0
    while position < count:
        t = order[position]
        position += 1
        now = key[t]
        j = neuron_of(now)
        z = np.int64(y[j]) + np.int64(c[j])
        state = np.int64(x[j])
        sz = -z if state else z
        if sz < threshold[t, state]:
            continue
        if made == log.event.size:
            return made, False, True
        w = column(columns, j)
        log.event[made] = now | np.uint64(1 - state)
        log.doubled[made] = -2 * sz - np.int64(w[j])
        made += 1
        follower = _fires_next(motion, queue, position, count) if large else j
        found = push(y, w, state == 0, column(columns, follower), large, crossed)
        z = np.int64(y[j]) + np.int64(c[j])
        b = pivot(np.int64(c[j]), state)
        x[j] = 1 - state
        c[j] = kind(pivot(b, 1 - state))
        y[j] = kind(z - np.int64(c[j]))
        crossed[found] = j  # in its new state
        for f in range(found + 1):
            i = crossed[f]
            z = np.int64(y[i]) + np.int64(c[i])
            sz = -z if x[i] else z
            if sz < pivot(np.int64(c[i]), x[i]):
                continue
            if sz > cap:
                return made, True, False
            count = deepen(rule, here, motion, tickets, i, now, position, count)
            if count < 0:
                return made, False, True
        if made == most:
            return made, True, False
    return made, False, False


@njit(cache=True, error_model="numpy")
def walk(rule, columns, motion, clock, ends, kept, tickets, log):
    """Walk through windows: motion.y is z[n] before and after. clock: `window.Clock`'s fields.

    Returns (whole windows; their events; index of the last one's first event; the clock before the
    last one, and after it; events in all; whether there was no room for another window, of which
    the rest of the events is: make room, and take these back).
    """
    y, c, x = motion
    course = rule.course
    limit = limit_of(y)
    made = done = first = windows = k = 0
    before = clock
    full = False
    while goes_on(ends, log.time, first, done, windows, clock[1]):
        number, high, low, rules = clock
        k = segment_at(course.times, k, high, low)
        scale, target = course.scales[k], course.targets[k]
        change = course.times[k + 1]
        exponent, cap = width_and_cap(largest_response(y, x, rule.clamped), rules, scale)
        end = end_word(clock, exponent, change)
        if end == NO_EVENT:
            change = math.inf
        cap = max(min(cap, limit - 1), -limit)
        margin = margin_of(rule.spread, target, scale) // 2
        here = Here(number | rule.replica, exponent, scale, cap, end, 4 * target, margin)
        count = begin(rule, here, motion, kept, tickets)
        early, full = False, count < 0
        if not full:
            made, early, full = _through(rule, here, columns, motion, tickets, log, count, made)
        for i in range(x.size):
            y[i] += c[i]
        if full:
            break
        first, done = done, made
        before = clock
        tick = tick_length(exponent)
        event_times(log.event[first:done], high, low, tick, -0.5, log.time[first:done])
        clock = after_window(clock, exponent, change, log.event[first:done], target, early)
        windows += 1
    return windows, done, first, before, clock, made, full
