"""What an engine finds for one window."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Solution(NamedTuple):
    """events: uint64[K] words of all ranks by time; end: int[n], z after them; early: the window
    ends right after the last event; replays, applies: passes that were needed."""

    events: NDArray[np.uint64]
    end: NDArray[Any]
    early: bool
    replays: int
    applies: int
