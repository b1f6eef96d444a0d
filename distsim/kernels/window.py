"""The window rule and the clock: where a window ends, and what the next one follows from.

`laws.window` says what the rule is for. `window.cuh` is the twin, with its constants from here.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.elementary import LN2
from distsim.kernels.events import LIMIT, MPM_TICK_BITS, NO_EVENT, event_word, tick_of
from distsim.kernels.record import event_times

CAP_BITS = 6  # a window of the MPM ends when a rate comes above 2^6 / D
START_BITS = 4  # and starts with all rates at or under 2^4 / D
WIDEST = 1000  # binary exponent of the widest window of an MPM, whatever the rule: doubles end at
NEVER = -(2.0**40)  # log2 of a rate below all that are allowed
_MARGIN = 1.0  # the widest margin, in units of 2 tau: a factor of e in a rate
END_OF_TIME = math.ldexp(1.0, WIDEST)  # 2^1024. Its clock stands within a window of this at most


class Clock(NamedTuple):
    """What the next window follows from, besides z and x: for a checkpoint, on any device.

    number: windows before it (MPM) or steps (BM); high + low: model time or steps; exponent: of
    the rule's width, None before the first window.
    """

    number: int = 0
    high: float = 0.0
    low: float = 0.0
    exponent: int | None = None


class Course(NamedTuple):
    """What changes while a chain runs: from times[k] on, float64[S + 1], the temperature is
    scales[k] in weight units (2 tau, or T), float64[S], and targets[k] events a window are aimed
    at, int64[S].

    times: model time (MPM) or steps; the first is 0, the last infinite; windows end at all of them.
    """

    times: Any
    scales: Any
    targets: Any


@njit(cache=True)
def segment_at(times, k, high, low):
    """The last k, not before the one given, whose time is not after high + low."""
    while left_until(high, low, times[k + 1]) <= 0.0:
        k += 1
    return k


@njit(cache=True)
def margin_of(spread, target, scale):
    """By how much s z may rise in an MPM's window for which tickets are drawn at its start: it
    decides speed only. spread: of weights, in units; target: events; scale: 2 tau in weight units.
    """
    rise = min(2.0 * spread * math.sqrt(target), _MARGIN * scale)
    return np.int64(min(LIMIT, rise))


@njit(cache=True)
def power_of_two(exponent):
    """2^exponent, for exponents up to WIDEST; 0 at and under -WIDEST: no clock feels it."""
    return math.ldexp(1.0, exponent) if exponent > -WIDEST else 0.0


@njit(cache=True)
def tick_length(exponent):
    """Model time of a tick of an MPM's window of width 2^exponent."""
    return power_of_two(exponent - MPM_TICK_BITS)


@njit(cache=True)
def follow(exponent, events, target, may_grow):
    """Binary exponent of the next width, after a window of width 2^exponent with so many events."""
    if 2 * events > 3 * target:
        return exponent - 1
    if 5 * events < 3 * target and may_grow:
        return exponent + 1
    return exponent


@njit(cache=True)
def octaves_of(top, scale):
    """log2 of the largest rate of an MPM, of the neuron with the largest s z; -2^40 if all are
    clamped."""
    return max(top / (scale * LN2), NEVER)


@njit(cache=True)
def width_and_cap(top, exponent, scale):
    """Of an MPM's next window: binary exponent of its width, and the cap on s z.

    The rule's width 2^exponent, or less where a rate is above 2^4 / D; no more than 2^WIDEST. top:
    the largest s z.
    """
    width = min(exponent, math.floor(START_BITS - octaves_of(top, scale)), WIDEST)
    cap = (CAP_BITS - width) * LN2 * scale
    return width, math.floor(max(-LIMIT, min(LIMIT, cap)))


@njit(cache=True)
def advance(high, low, passed):
    """high + low + passed as a double-double: the two-sum of Knuth, its error into `low`."""
    total = high + passed
    part = total - high
    low += (high - (total - part)) + (passed - part)
    high = total + low
    return high, low - (high - total)


@njit(cache=True)
def left_until(high, low, change):
    """How much time there is from high + low to a change, not above 0 where it has come."""
    return (change - high) - low


@njit(cache=True)
def end_word(clock, exponent, change):
    """The first event word that is no more of an MPM's window of width 2^exponent, since conditions
    change at a time in it; NO_EVENT if it ends before."""
    left = left_until(clock[1], clock[2], change)
    tick = tick_length(exponent)
    if power_of_two(exponent) < left or tick == 0.0:
        return NO_EVENT
    return event_word(np.int64(math.floor(left / tick)) + 1, 0)


@njit(cache=True)
def after_window(clock, exponent, change, events, target, early, times):
    """The clock after an MPM's window of width 2^exponent: later by that, at the change of
    conditions that cuts it, or at its last event's time if it ended early.

    events: uint64 words; change: the time of the change; inf for a window that is not cut; times:
    float64[events], when the events happen (out).
    """
    number, high, low, rule = clock
    event_times(events, high, low, tick_length(exponent), -0.5, times)
    if early:
        ticks = float(tick_of(events[-1])) if events.size else 0.0
        high, low = advance(high, low, (ticks - 0.5) * tick_length(exponent))
    elif change < math.inf:
        high, low = change, 0.0
    else:
        high, low = advance(high, low, power_of_two(exponent))
    capped = exponent < rule
    may_grow = not (early or capped or change < math.inf)
    following = follow(exponent, events.size, target, may_grow)
    if not (capped and following == exponent):
        rule = following
    return number + 1, high, low, rule


@njit(cache=True)
def steps_of(clock, most, change):
    """Steps of a BM's next window, of at most `most`; it ends where conditions change."""
    return np.int64(min(float(min(1 << clock[3], most)), change - clock[1]))


@njit(cache=True)
def after_steps(clock, steps, events, target, most):
    """The clock after a BM's window of so many steps, of at most `most`."""
    number, _, _, exponent = clock
    cut = steps < min(1 << exponent, most)
    exponent = max(0, follow(exponent, events, target, not cut and 1 << exponent < most))
    return number + steps, float(number + steps), 0.0, exponent
