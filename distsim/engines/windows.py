"""A solver of windows as an engine: window by window, from the law's clock to the stretch's end.

What is done once a stretch, records, stops and checkpoints, is then little beside small windows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.engines.engine import Solver, Stretch
from distsim.engines.timer import Timer
from distsim.kernels.states import commit
from distsim.laws.law import Law
from distsim.weights.shard import Shard

# Signals, checkpoints and reports wait for a stretch: a few milliseconds of a rank alone.
_EVENTS = 1 << 12  # that it makes,
_WEIGHTS = 1 << 22  # and weights of their columns


class Windows:
    """Advances by a few windows of a small network, by one of a large network: `engine.Engine`."""

    def __init__(self, solver: Solver, shard: Shard[Any], timer: Timer) -> None:
        self._solver = solver
        self._first = shard.first
        self._events = min(_EVENTS, _WEIGHTS // shard.neurons)
        self._timer = timer

    def advance(
        self, law: Law, z: NDArray[Any], x: NDArray[np.uint8], events: int, until: float
    ) -> Stretch:
        made, times, doubled = (list[NDArray[Any]]() for _ in range(3))
        count = replays = applies = 0
        while True:
            window = law.open(z, x)
            before, first = law.clock, count
            self._timer.stamp("open")
            solution = self._solver.solve(law, window, z, x)
            z[:] = solution.end
            commit(solution.events, self._first, x)
            made.append(solution.events)
            doubled.append(solution.doubled)
            times.append(law.close(window, solution.events, early=solution.early))
            count += solution.events.size
            replays += solution.replays
            applies += solution.applies
            self._timer.stamp("commit")
            # A window without events may be long, and the last.
            if count >= min(events, self._events) or count == first:
                break
            if law.now() >= until or times[-1][-1] > until:
                break
        return Stretch(
            np.concatenate(made),
            np.concatenate(times),
            np.concatenate(doubled),
            first,
            before,
            len(made),
            replays,
            applies,
        )
