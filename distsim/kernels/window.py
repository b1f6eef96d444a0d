"""The window rule and the clock: where a window ends, and what the next one follows from.

`laws.window` says what the rule is for. `window.cuh` is the twin, with its constants from here.
"""

import math
from typing import NamedTuple

from numba import njit

from distsim.kernels.elementary import LN2
from distsim.kernels.events import LIMIT, MPM_TICK_BITS, tick_of

CAP_BITS = 6  # a window of the MPM ends when a rate comes above 2^6 / D
START_BITS = 4  # and starts with all rates at or under 2^4 / D
WIDEST = 1000  # binary exponent of the widest window of an MPM, whatever the rule: doubles end at
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
    """log2 of the largest rate of an MPM, of the neuron with the largest s z."""
    return top / (scale * LN2)


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
def after_window(clock, exponent, last, events, target, early):
    """The clock after an MPM's window of width 2^exponent: later by that, or by its last event's
    time if it ended early.

    last: the word of its last event, 0 for none; events: how many.
    """
    number, high, low, rule = clock
    passed = power_of_two(exponent)
    if early:
        ticks = float(tick_of(last)) if events else 0.0
        passed = (ticks - 0.5) * tick_length(exponent)
    high, low = advance(high, low, passed)
    capped = exponent < rule
    following = follow(exponent, events, target, not (early or capped))
    if not (capped and following == exponent):
        rule = following
    return number + 1, high, low, rule


@njit(cache=True)
def after_steps(clock, steps, events, target, most):
    """The clock after a BM's window of so many steps, of at most `most`."""
    number, _, _, exponent = clock
    exponent = max(0, follow(exponent, events, target, 1 << exponent < most))
    return number + steps, float(number + steps), 0.0, exponent
