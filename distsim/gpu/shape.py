"""How the kernels of a chain are launched and compiled for a shard: pure arithmetic, without CuPy.

None of this changes a result.
"""

from typing import NamedTuple

from distsim.gpu.layout import RACE_BLOCKS, RELAX_BLOCKS, TEAMS, THREADS

WARP = 32  # threads
_LOAD_BYTES = (16, 8, 4)  # of a column that a thread may load at once
# Loads of a column, at the least: with fewer there is none for some team of a large GPU, and
# narrower ones serve better.
_LOADS = 8192
_IN_FLIGHT = (
    64  # bytes that a thread waits for while it adds as many: what hides the memory's delay
)
_GROUPS = (128, 64, 32)  # threads that may share a neuron in `replay`
_FEWEST_BLOCKS = 8  # of `relax`: even few neurons have many tickets to go through


class Shape(NamedTuple):
    """blocks: of a launch, all resident at once; column_bytes, apart, group: see `chain.cuh`."""

    blocks: int
    column_bytes: int
    apart: int
    group: int


def shape(n: int, bits: int, *, race: bool, multiprocessors: int, active: int) -> Shape:
    """For n local neurons of weights of so many bits; active: about how many hold tickets."""
    column_bytes = next((b for b in _LOAD_BYTES if n * bits // 8 >= _LOADS * b), _LOAD_BYTES[-1])
    if race:  # a thread a neuron
        wanted, most = -(-n // THREADS), RACE_BLOCKS * multiprocessors
    else:  # a warp's load of a column for each team of `apply`
        span = WARP * column_bytes * 8 // bits
        wanted = max(_FEWEST_BLOCKS, -(-n // (TEAMS * span)))
        most = RELAX_BLOCKS * multiprocessors
    blocks = max(1, min(most, wanted))
    # As many threads a neuron as let all neurons with tickets be replayed at once.
    group = next((g for g in _GROUPS if blocks * THREADS // g >= active), _GROUPS[-1])
    return Shape(blocks, column_bytes, _IN_FLIGHT // column_bytes, group)
