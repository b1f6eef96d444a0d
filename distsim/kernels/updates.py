"""The random numbers of a BM's updates: x_i <- [z_i > T logit(u)]. `updates.cuh` is the twin.

In the random scan each step has a draw of its own. In the sequential scan four neurons that a sweep
visits one after the other share two: the high halves of their uniforms, and the low halves.

**The screen.** The high half alone says u to 2^-32, and `rough_logit` makes logit(u) of it with an
error below LOGIT_ERROR, in single precision. Only where z is not farther than that, times T, from
the threshold is the low half drawn, and double precision decides: once in 2^11 visits, and a few
in a million that are close. So events are a function of the whole word, screened or not.
"""

import numpy as np
from numba import njit

from distsim.kernels.elementary import exponential, ln, uniform
from distsim.kernels.events import to_threshold
from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.philox import SWEEP, UPDATE, draw, word_of

LOGIT_ERROR = 2.0**-16
_EDGE = np.uint32(1 << 20)  # high halves so near to either end say too little
_INNER = np.uint32((1 << 32) - (1 << 21))  # how many are not so near
_LARGEST = np.int32(0x7FFFFFFF)
_MANTISSA = np.int32(23)  # bits
_HALF = np.int32(1 << 22)
_LN2, _TWO, _THIRD, _FIFTH = np.float32(np.log(2.0)), *map(np.float32, (2.0, 2 / 3, 2 / 5))
_UNKNOWN = np.float32(np.nan)


@njit(inline="always")
def logit_of(u):
    """ln(u / (1 - u))."""
    return ln(u) + exponential(u)


@njit(inline="always")
def random_logit(seed, replica, step, neuron):
    """logit(u) of the update that a step of the random scan makes; replica: its bits."""
    a, b, _, _ = draw(seed, neuron, step | replica, 0, UPDATE)
    return logit_of(uniform(a, b))


@njit(cache=True)
def sweep_logit(seed, replica, sweep, neuron):
    """logit(u) of the update of a neuron in a sweep of the sequential scan; replica: its bits."""
    high = word_of(draw(seed, neuron >> 2, sweep | replica, 0, SWEEP), neuron & 3)
    low = word_of(draw(seed, neuron >> 2, sweep | replica, 1, SWEEP), neuron & 3)
    return logit_of(uniform(high, low))


@njit(**UNCOUNTED)
def sweep_threshold(seed, replica, sweep, neuron, scale, rest, state):
    """The least z that leads to state 1 in a sweep of the sequential scan; scale: T in weight
    units. At T = 0 a neuron keeps its state where z u + b is 0."""
    if scale == 0.0:
        return threshold_at_rest(rest, state)
    return to_threshold(scale * sweep_logit(seed, replica, sweep, neuron) - rest)


@njit(inline="always")
def threshold_at_rest(rest, state):
    """The least z that leads to state 1 at T = 0."""
    return -np.int64(np.floor(rest)) if state else np.int64(np.floor(-rest)) + 1


@njit(**UNCOUNTED)
def quads(seed, replica, group, sweep, half, words):
    """The high halves (half: 0) or the low ones (1) of the uniforms of groups of four neurons.

    group: int64[g], neuron >> 2; sweep: int64[g]; words: uint32[4 g] (out), that of neuron & 3 = a
    of group k at a g + k.
    """
    g = group.size
    w0, w1, w2, w3 = words[:g], words[g : 2 * g], words[2 * g : 3 * g], words[3 * g :]
    for k in range(np.uint64(g)):
        w0[k], w1[k], w2[k], w3[k] = draw(seed, group[k], sweep[k] | replica, half, SWEEP)


@njit(inline="always")
def rough_logit(high):
    """float32: logit(u) up to LOGIT_ERROR, of the high half of u (uint32); NaN near either end.

    h = high >> 1 and 2^31 - 1 - h are at least 2^19 and less than 1 below 2^31 u and 2^31 (1 - u):
    that is 1.9e-6 at most. As floats n and d they are 6e-8 off each. The logarithm is that of
    n / d: k ln 2 + 2 artanh(s), s = (n - d 2^k) / (n + d 2^k). The bits of two floats, as integers,
    differ by 2^23 log2 of their ratio, up to 0.087 2^23, so that |s| < 0.201, and what the series
    leaves out is below 3.9e-6. Roundings, of sums up to 8.4, are below 2e-6. All is below 8.1e-6,
    half the bound.
    """
    h = np.int32(high >> np.uint32(1))
    n = np.float32(h)
    d = np.float32(np.int32(_LARGEST - h))
    bits = d.view(np.int32)
    k = np.int32(np.int32(np.int32(n.view(np.int32) - bits) + _HALF) >> _MANTISSA)
    d = np.int32(bits + np.int32(k << _MANTISSA)).view(np.float32)
    s = (n - d) / (n + d)
    square = s * s
    rough = np.float32(k) * _LN2 + s * (_TWO + square * (_THIRD + square * _FIFTH))
    return rough if np.uint32(high - _EDGE) < _INNER else _UNKNOWN
