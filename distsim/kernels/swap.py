"""The random numbers of parallel tempering (`laws.tempering`). It has no twin: the host decides."""

import numpy as np
from numba import njit

from distsim.kernels.elementary import ln, uniform
from distsim.kernels.philox import SWAP, draw


@njit(cache=True)
def log_uniforms(seed, count, pairs):
    """float64[pairs]: ln u of the swap of rungs k and k + 1 after round `count`."""
    found = np.empty(pairs)
    for k in range(pairs):
        a, b, _, _ = draw(seed, k, count, 0, SWAP)
        found[k] = ln(uniform(a, b))
    return found
