"""The contract of engines: all events of a window, from the states at its start.

| member | meaning |
|---|---|
| solve(law, window, z, x) | its `Solution`, the same on every rank but for `end` |

z: int[n] and x: uint8[n] are left as they are.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.laws.law import Law
from distsim.laws.window import Window


class Solution(NamedTuple):
    """events: uint64[K] words of all ranks by time; end: int[n], z after them; early: the window
    ends right after the last event; replays, applies: passes that were needed."""

    events: NDArray[np.uint64]
    end: NDArray[Any]
    early: bool
    replays: int
    applies: int


class Engine(Protocol):
    def solve(
        self, law: Law, window: Window, z: NDArray[Any], x: NDArray[np.uint8]
    ) -> Solution: ...
