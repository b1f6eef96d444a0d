"""The contract of engines: a chain's events, from the states at a window's start.

| member | meaning |
|---|---|
| advance(law, z, x, events, until) | a `Stretch` of one window or more |

z: int[n], x: uint8[n] and the law's clock move to the stretch's end. It ends with the first window
that makes `events` events, or comes to `until` in time or steps, or, where that is the end of time,
has no event at all; it may end after any before. An engine that is opened with `energies` tells by
how much each event changes the energy.

An engine that solves one window at a time (`Solver`) is one as `windows.Windows`:

| member | meaning |
|---|---|
| solve(law, window, z, x) | its `Solution`, the same on every rank but for `end` |

z: int[n] and x: uint8[n] are left as they are.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.energy import interleave
from distsim.kernels.states import commit, undoing
from distsim.kernels.window import Clock
from distsim.laws.law import Law
from distsim.laws.window import Window
from distsim.ranks import partition
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard
from distsim.weights.storage import HostStorage

NONE = np.empty(0, np.int64)


class Stretch(NamedTuple):
    """events: uint64[K] words of all ranks by time, each of its window; times: float64[K], in time
    or steps; doubled: int64[K], by how much each event changes 2 E in weight units, int64[0] where
    energies are not wanted; first: index of the first event of the last window; before: the clock
    at its start; windows: how many; replays, applies: passes that were needed."""

    events: NDArray[np.uint64]
    times: NDArray[np.float64]
    doubled: NDArray[np.int64]
    first: int
    before: Clock
    windows: int
    replays: int
    applies: int


class Engine(Protocol):
    def advance(
        self, law: Law, z: NDArray[Any], x: NDArray[np.uint8], events: int, until: float
    ) -> Stretch: ...


class Solution(NamedTuple):
    """events, doubled: as in `Stretch`; end: int[n], z after them; early: the window ends right
    after the last event; replays, applies: passes that were needed."""

    events: NDArray[np.uint64]
    end: NDArray[Any]
    early: bool
    replays: int
    applies: int
    doubled: NDArray[np.int64]


class Solver(Protocol):
    def solve(
        self, law: Law, window: Window, z: NDArray[Any], x: NDArray[np.uint8]
    ) -> Solution: ...


def take_back(
    shard: Shard[HostStorage], events: NDArray[np.uint64], z: NDArray[Any], x: NDArray[np.uint8]
) -> None:
    """Lead z: int[n] and x: uint8[n] back to before these events, in place."""
    undone = undoing(events)
    shard.storage.accumulate(undone, z)
    commit(undone, shard.first, x)


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
