"""The contract of engines: all events of a window, from the states at its start.

| member | meaning |
|---|---|
| solve(law, window, z, x) | its `Solution`, the same on every rank but for `end` |

z: int[n] and x: uint8[n] are left as they are. An engine that is opened with `energies` tells by
how much each event changes the energy.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.energy import interleave
from distsim.laws.law import Law
from distsim.laws.window import Window
from distsim.ranks import partition
from distsim.ranks.communicator import Communicator

NONE = np.empty(0, np.int64)


class Solution(NamedTuple):
    """events: uint64[K] words of all ranks by time; end: int[n], z after them; early: the window
    ends right after the last event; replays, applies: passes that were needed; doubled: int64[K],
    by how much each event changes 2 E in weight units, int64[0] where energies are not wanted."""

    events: NDArray[np.uint64]
    end: NDArray[Any]
    early: bool
    replays: int
    applies: int
    doubled: NDArray[np.int64]


class Engine(Protocol):
    def solve(
        self, law: Law, window: Window, z: NDArray[Any], x: NDArray[np.uint8]
    ) -> Solution: ...


def of_all_ranks(
    mine: NDArray[np.int64], events: NDArray[np.uint64], neurons: int, ranks: Communicator
) -> NDArray[np.int64]:
    """A number of each event, int64[K], of those that its owner has: mine, in order of time."""
    if ranks.size == 1:
        return mine
    parts, counts, _ = ranks.exchange(mine.view(np.uint64), 0)
    firsts = np.array([partition.start(rank, neurons, ranks.size) for rank in range(ranks.size)])
    numbers: NDArray[np.int64] = interleave(parts, counts, events, firsts)
    return numbers
