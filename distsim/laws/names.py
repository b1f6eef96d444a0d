"""Whose random numbers a chain's are."""

from typing import NamedTuple

import numpy as np

from distsim.kernels.philox import replica_bits


class Names(NamedTuple):
    """What the names of a chain's draws have in common: its seed, and the bits of its replica."""

    seed: np.uint64
    replica: int


def names(seed: int, replica: int) -> Names:
    return Names(np.uint64(seed), replica_bits(replica))
