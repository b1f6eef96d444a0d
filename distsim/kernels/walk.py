"""The walk: an MPM on the ranks of one host, event by event, many windows in one call.

    open      the window's width and cap, from the largest s z
    begin     the tickets that are reached, in order of time; y = z - c
    for each ticket, by time
        it fires iff s z >= its threshold: z is exact at that moment
        push      the column of its neuron into y
        deepen    the neurons whose s z came to their lowest ticket not drawn: their y changed sign
    close     z = y + c; the clock

Of several ranks each has its neurons' tickets, and pushes its rows of each column. They meet every
few events, in memory that all see (`walk_together.py`).

On one rank nothing is guessed and nothing repeated. The stream is that of `engines.race` for these
reasons. A ticket that is drawn late and lies before the present one did not fire: until now s z was
below its threshold. Tickets that are drawn late and lie after it are put in order before the next
is looked at; order is by event word, and by number for one neuron at one tick. The window ends
after the event that makes `most`, or lifts some s z above the cap, which is seen as a ticket not
drawn is: b is never above cap + 1.

A sum is exact in y as it is in z: no |z| reaches 2^30 (int32) or 2^61 (int64) and no b is beyond,
so that |y| stays within its type. Its twin, of many chains on a GPU, is `walks.cu`.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload

from distsim.kernels import queue, walk_window
from distsim.kernels.events import NO_EVENT
from distsim.kernels.mcculloch_pitts import largest_response
from distsim.kernels.meeting import least
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.walk_room import Here
from distsim.kernels.walk_tickets import begin, limit_of
from distsim.kernels.walk_together import together
from distsim.kernels.window import (
    END_OF_TIME,
    after_window,
    end_word,
    margin_of,
    segment_at,
    width_and_cap,
)

_HIGHEST = np.int64(1 << 61)  # no response is above


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
def _top(rule, y, x):
    """The largest s z of all ranks' neurons that are not clamped."""
    top = largest_response(y, x, rule.clamped)
    if rule.places.ranks == 1:
        return top
    return _HIGHEST - np.int64(least(rule.places, np.uint64(_HIGHEST - top)))


def _window(rule, here, columns, motion, tickets, log, count, made):
    raise NotImplementedError


@overload(_window)
def _window_of(rule, here, columns, motion, tickets, log, count, made):
    """`through`, of dense columns or sparse ones; count: -1 if there was no room for tickets."""

    def of_dense(rule, here, columns, motion, tickets, log, count, made):
        if rule.places.ranks > 1:
            return together(rule, here, columns, motion, tickets, log, count, made)
        if count < 0:
            return made, False, True
        return walk_window.through(rule, here, columns, motion, tickets, log, count, made)

    def of_sparse(rule, here, columns, motion, tickets, log, count, made):
        if rule.places.ranks > 1:
            return together(rule, here, columns, motion, tickets, log, count, made)
        if count < 0:
            return made, False, True
        return queue.through(rule, here, columns, motion, tickets, log, count, made)

    return of_dense if isinstance(columns, types.Array) else of_sparse


@njit(cache=True, error_model="numpy", nogil=True)
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
        exponent, cap = width_and_cap(_top(rule, y, x), rules, scale)
        end = end_word(clock, exponent, change)
        if end == NO_EVENT:
            change = math.inf
        cap = max(min(cap, limit - 1), -limit)
        margin = margin_of(rule.spread, target, scale) // 2
        here = Here(number | rule.replica, exponent, scale, cap, end, 4 * target, margin)
        count = begin(rule, here, motion, kept, tickets)
        made, early, full = _window(rule, here, columns, motion, tickets, log, count, made)  # type: ignore[no-untyped-call]
        for i in range(x.size):
            y[i] += c[i]
        if full:
            break
        first, done = done, made
        before = clock
        events, times = log.event[first:done], log.time[first:done]
        clock = after_window(clock, exponent, change, events, target, early, times)
        windows += 1
    return windows, done, first, before, clock, made, full
