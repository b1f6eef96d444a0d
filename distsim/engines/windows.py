"""A solver of windows as an engine: a window at a time, from the law's clock to its end."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.engines.engine import Solver, Stretch
from distsim.engines.timer import Timer
from distsim.kernels.states import commit
from distsim.laws.law import Law


class Windows:
    """Advances by one window: `engine.Engine`."""

    def __init__(self, solver: Solver, first: int, timer: Timer) -> None:
        """`first`: global index of the first local neuron."""
        self._solver = solver
        self._first = first
        self._timer = timer

    def advance(
        self, law: Law, z: NDArray[Any], x: NDArray[np.uint8], events: int, until: float
    ) -> Stretch:
        window = law.open(z, x)
        before = law.clock
        self._timer.stamp("open")
        solution = self._solver.solve(law, window, z, x)
        made = solution.events
        times = law.times(window, made)
        law.close(window, made, early=solution.early)
        z[:] = solution.end
        commit(made, self._first, x)
        self._timer.stamp("commit")
        return Stretch(
            made, times, solution.doubled, 0, before, 1, solution.replays, solution.applies
        )
