"""What an engine finds for one window."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Solution:
    """events: uint64[K] words of all ranks by time; end: int[n], z after them; early: the window
    ends right after the last event; replays, applies: passes that were needed."""

    events: NDArray[np.uint64]
    end: NDArray[Any]
    early: bool
    replays: int
    applies: int
