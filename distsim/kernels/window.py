"""The arithmetic of windows, of their widths and the clock. Plain Python: it runs once a window.

`laws.window` says what the rule is for. `window.cuh` is the twin, with its constants from here.
"""

import math

CAP_BITS = 6  # a window of the MPM ends when a rate comes above 2^6 / D
START_BITS = 4  # and starts with all rates at or under 2^4 / D
WIDEST = 1000  # binary exponent of the widest window of an MPM, whatever the rule: doubles end at
END_OF_TIME = math.ldexp(1.0, WIDEST)  # 2^1024. Its clock stands within a window of this at most


def power_of_two(exponent: int) -> float:
    """2^exponent, for exponents up to WIDEST; 0 at and under -WIDEST: no clock feels it."""
    return math.ldexp(1.0, exponent) if exponent > -WIDEST else 0.0


def follow(exponent: int, events: int, target: int, *, may_grow: bool) -> int:
    """Binary exponent of the next width, after a window of width 2^exponent with so many events."""
    if 2 * events > 3 * target:
        return exponent - 1
    if 5 * events < 3 * target and may_grow:
        return exponent + 1
    return exponent


def advance(high: float, low: float, passed: float) -> tuple[float, float]:
    """high + low + passed as a double-double: the two-sum of Knuth, its error into `low`."""
    total = high + passed
    part = total - high
    low += (high - (total - part)) + (passed - part)
    high = total + low
    return high, low - (high - total)
