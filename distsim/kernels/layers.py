"""The sequential scan of a BM, a layer at a time, of chains side by side.

Neurons of a layer are visited one after the other and have no weights among themselves: z of one
does not change while others of its layer are visited. So z of a whole layer is known at once, for
all chains, and its visits are decided in vectors, with the draws of `updates.py`. `layers.cu` is
the twin.

**Precision.** z and the integer biases are integers below 2^24, or 2^53, in single or double
precision: exact. Thresholds T logit(u) - rest, where |logit(u)| < 8.4, are rounded three times,
each by 2^-24 of that at most, and the rest once: less than T 2^-18 and 2^-20 in all.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from distsim.kernels.memory import UNCOUNTED
from distsim.kernels.record import GOLDEN, mix
from distsim.kernels.updates import LOGIT_ERROR, quads, rough_logit, sweep_threshold

_VECTOR = 8  # draws are made so many at a time
_ERROR = LOGIT_ERROR + 2.0**-18  # of thresholds, of T,
_ROUNDING = 2.0**-20  # and of a weight unit


class Layer(NamedTuple):
    """Neurons first ... first + n - 1. bias, rest: float32/64[n], of the precision of z; exact:
    float64[n], the rest. What a sweep's draws are made of: group, sweep: int64[g]; words:
    uint32[4 g]; logit: float32[4 g], and, by neuron, rough: float32[4 g]; above: float32/64[n];
    listed: int64[n], of neurons that may change."""

    first: int
    neurons: int
    bias: Any
    rest: Any
    exact: Any
    group: Any
    sweep: Any
    words: Any
    logit: Any
    rough: Any
    above: Any
    listed: Any


class Chains(NamedTuple):
    """R chains at a sweep. x: float32/64[R, N], states; replica: int64[R], bits (`philox`); scale:
    float64[R], T in weight units; clamped: bool[R, N], or bool[R, 0] where none is; made: int64[R],
    transitions so far; last: float64[R], the time of the last; total: uint64[R], their part of the
    digest."""

    x: Any
    replica: Any
    scale: Any
    clamped: Any
    made: Any
    last: Any
    total: Any


class Events(NamedTuple):
    """Room for K events of each of R chains: time: float64[R, K]; neuron: int64[R, K]; state:
    uint8[R, K]; doubled: int64[R, K], as in `observe.Block`; none where K is 0. count: int64[R]."""

    time: Any
    neuron: Any
    state: Any
    doubled: Any
    count: Any


def bounds_of(columns: Any) -> Any:
    """int64[L + 1]: the fewest runs [a, b) of neurons, in their order, with W[a:b, a:b] = 0, by
    their bounds. columns: int8/16/32[N, N], W of a BM."""
    bounds = np.zeros(len(columns) + 1, np.int64)
    layers = _find_ends(columns, bounds[1:])
    return bounds[: layers + 1]


@njit(cache=True)
def _find_ends(columns, ends):
    layers, start = 0, 0
    for i in range(columns.shape[0]):
        for j in range(start, i):
            if columns[i, j] != 0:
                ends[layers] = i
                layers += 1
                start = i
                break
    ends[layers] = columns.shape[0]
    return layers + 1


def make_layer(first: int, bias: Any, rest: Any, kind: Any) -> Layer:
    """bias: int64[n] and rest: float64[n] of neurons from `first` on; kind: float32 or float64."""
    size = bias.size
    begin, end = first >> 2, (first + size - 1 >> 2) + 1
    groups = -(-(end - begin) // _VECTOR) * _VECTOR
    return Layer(
        first,
        size,
        bias.astype(kind),
        rest.astype(kind),
        rest,
        group=np.arange(begin, begin + groups),
        sweep=np.empty(groups, np.int64),
        words=np.empty(4 * groups, np.uint32),
        logit=np.empty(4 * groups, np.float32),
        rough=np.empty(4 * groups, np.float32),
        above=np.empty(size, kind),
        listed=np.empty(size, np.int64),
    )


@njit(**UNCOUNTED)
def _screen(layer, seed, replica, scale, z):
    """How far z: float32/64[n] is above the thresholds that the high halves of the uniforms give;
    NaN where they give none."""
    words, logit, rough, above = layer.words, layer.logit, layer.rough, layer.above
    groups = np.uint64(layer.group.size)
    quads(seed, replica, layer.group, layer.sweep, 0, words)
    for k in range(np.uint64(4) * groups):
        logit[k] = rough_logit(words[k])
    for k in range(groups):
        for a in range(np.uint64(4)):
            rough[np.uint64(4) * k + a] = logit[a * groups + k]
    kind = z.dtype.type
    factor = kind(scale)
    mine = rough[layer.first & 3 :]
    for i in range(np.uint64(z.size)):
        theta = factor * kind(mine[i]) - layer.rest[i]
        above[i] = (z[i] + layer.bias[i]) - theta


@njit(**UNCOUNTED)
def _list(layer, x, error):
    """List the neurons whose state, of x: float32/64[N], may change. Returns how many there are.

    Without a branch: which do is hard to predict.
    """
    above, listed = layer.above, layer.listed
    mine = x[layer.first :]
    count = np.int64(0)
    for k in range(layer.neurons):
        changes = (above[k] > 0.0) != (mine[k] > 0.5)
        listed[count] = k
        count += np.int64(changes | (not abs(above[k]) > error))
    return count


@njit(**UNCOUNTED)
def visit(layer, seed, sweep, z, chains, events):
    """Visit a layer's neurons in all chains, in the sweep of this number. z: float32/64[R, n], W x
    of the layer."""
    x, replica, scale, clamped, made, last, total = chains
    begin = sweep * x.shape[1] + layer.first + 1
    held, kept = clamped.shape[1] > 0, events.time.shape[1] > 0
    above = layer.above
    layer.sweep[:] = sweep
    for r in range(x.shape[0]):
        if scale[r] == 0.0:
            above[:] = np.nan
        else:
            _screen(layer, seed, replica[r], scale[r], z[r])
        error = above.dtype.type(scale[r] * _ERROR + _ROUNDING)
        mine, sum_of, count = made[r], total[r], events.count[r]
        for q in range(_list(layer, x[r], error)):
            k = layer.listed[q]
            i = layer.first + k
            state = x[r, i] > 0.5
            up = above[k] > 0.0
            if not abs(above[k]) > error:
                least = sweep_threshold(seed, replica[r], sweep, i, scale[r], layer.exact[k], state)
                up = np.int64(z[r, k] + layer.bias[k]) >= least
            if up == state or (held and clamped[r, i]):
                continue
            x[r, i] = up
            time = np.float64(begin + k)
            word = mix(time.view(np.uint64) + np.uint64(mine) * GOLDEN)
            sum_of += mix(word + np.uint64(2 * i + up))
            last[r] = time
            mine += 1
            if kept:
                response = np.int64(z[r, k] + layer.bias[k])
                events.time[r, count] = time
                events.neuron[r, count] = i
                events.state[r, count] = up
                events.doubled[r, count] = -2 * response if up else 2 * response
                count += 1
        made[r], total[r], events.count[r] = mine, sum_of, count
