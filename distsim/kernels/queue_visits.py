"""The visits of a BM's walk on sparse columns: a flip's column is added to its own tile at once.

Where columns are in tiles, visits of the sequential scan go through one tile of z after another,
which the caches hold. A flip's part there is added at once; when the tile's visits have been made,
or the walk ends, `settle` adds the parts in the other tiles, of all flips, a tile at a time: in
memory they are in the order of flips. It has no twin.
"""

import numpy as np
from numba import njit

from distsim.kernels.events import neuron_of, sign_of
from distsim.kernels.memory import LINE, UNCOUNTED, prefetch
from distsim.kernels.sparse import part, tile_of
from distsim.kernels.walk_draws import follows, note

_AHEAD = 4  # visits ahead whose columns are prefetched
_LATER = 8  # flips ahead, of those whose parts in other tiles are added


@njit(**UNCOUNTED)
def _push(z, columns, begin, end, up):
    """Add a part of a column to z of its tile, or subtract it."""
    kind = z.dtype.type
    target, weight = columns.target, columns.weight
    if up:
        for e in range(begin, end):
            i = target[e]
            z[i] = kind(z[i] + kind(weight[e]))
    else:
        for e in range(begin, end):
            i = target[e]
            z[i] = kind(z[i] - kind(weight[e]))


@njit(inline="always")
def _ask_for(columns, b, j):
    """Prefetch a part of a column."""
    begin, end = part(columns, b, j)
    for e in range(begin, end, LINE // columns.target.itemsize):
        prefetch((columns.target, columns.weight), e)  # type: ignore[call-arg]


@njit(inline="always")
def in_tile(columns, i, n, run):
    """How many of a run of visits of the sequential scan, from the local neuron i of n on, are to
    its tile: all, if there is but one."""
    if columns.tile >= n:
        return run
    return min(run, columns.tile - i % columns.tile, n - i)


@njit(**UNCOUNTED)
def through(scan, motion, visits, chunk, log, made):
    """Make a chunk of visits, all in one tile. Returns how many events there are."""
    columns, z, x, _, clamped, first, _ = motion
    count, step, tick, _ = chunk
    b = visits.neuron[0] // columns.tile
    here = tile_of(columns, b, z)
    for q in range(count):
        if q + _AHEAD < count:
            i = visits.neuron[q + _AHEAD]
            likely = follows(scan, motion, visits, chunk, q + _AHEAD, np.int64(z[i]))
            if likely != x[i] and not clamped[i]:
                _ask_for(columns, b, first + i)
        i = visits.neuron[q]
        total = np.int64(z[i])
        new = follows(scan, motion, visits, chunk, q, total)
        if new != x[i] and not clamped[i]:
            x[i] = new
            note(log, made, first + i, new, total, tick + q, step + q + 1)
            made += 1
            begin, end = part(columns, b, first + i)
            _push(here, columns, begin, end, new == 1)
    return made


@njit(cache=True, error_model="numpy")
def settle(columns, events, first, z):
    """Add the columns of flips of one tile to the z of all others, which have not had them."""
    if events.size == 0:
        return
    own = (neuron_of(events[0]) - first) // columns.tile
    for b in range(columns.start.shape[0]):
        if b != own:
            _settle(columns, events, b, tile_of(columns, b, z))


@njit(**UNCOUNTED)
def _settle(columns, events, b, here):
    kind = here.dtype.type
    target, weight = columns.target, columns.weight
    for k in range(events.size):
        if k + _LATER < events.size:
            _ask_for(columns, b, neuron_of(events[k + _LATER]))
        begin, end = part(columns, b, neuron_of(events[k]))
        s = kind(sign_of(events[k]))
        for e in range(begin, end):
            i = target[e]
            here[i] = kind(here[i] + kind(s * kind(weight[e])))
