"""One transition a collective: the textbook algorithm, the oracle, the baseline for speed.

Each rank finds its earliest ticket that fires after the present time; an all-reduce(min) of one
event word (time in the high bits, neuron in the low bits, so that ties have an owner) names the
transition; its owner changes state; every rank adds that one column of W to its part of z.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.engines.engine import NONE, Solution, of_all_ranks
from distsim.engines.timer import Timer
from distsim.kernels.events import NO_EVENT, neuron_of
from distsim.kernels.states import commit
from distsim.laws.law import Law
from distsim.laws.tickets import Tickets
from distsim.laws.window import Window
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard
from distsim.weights.storage import HostStorage

_NONE = int(NO_EVENT)


class Race:
    """Solves a window transition by transition: `engine.Engine`."""

    def __init__(
        self,
        shard: Shard[HostStorage],
        ranks: Communicator,
        timer: Timer,
        energies: bool = False,
    ) -> None:
        self.shard = shard
        self.energies = energies
        self._diagonal = shard.storage.diagonal(shard.first)
        self.ranks = ranks
        self.timer = timer
        self.tickets = Tickets(shard.size)

    def solve(self, law: Law, window: Window, z: NDArray[Any], x: NDArray[np.uint8]) -> Solution:
        law.prepare(window, z, x, self.tickets)
        self.timer.stamp("draw")
        end = z.copy()
        state = x.copy()
        events: list[int] = []
        doubled: list[int] = []  # of this rank's events
        last = 0
        early = False
        while True:
            earliest = law.earliest(window, end, state, last, self.tickets)
            self.timer.stamp("replay")
            last = self.ranks.minimum(earliest)
            self.timer.stamp("exchange")
            early = last == 0
            if last in (0, _NONE):
                break
            events.append(last)
            i = int(neuron_of(last)) - self.shard.first
            if self.energies and 0 <= i < x.size:
                s = 1 - 2 * int(state[i])
                doubled.append(-2 * s * int(end[i]) - int(self._diagonal[i]))
            word = np.array([last], np.uint64)
            commit(word, self.shard.first, state)
            self.shard.storage.accumulate(word, end)
            self.timer.stamp("apply")
            if len(events) == window.most and law.bounded:
                early = True
                break
        words, numbers = np.array(events, np.uint64), NONE
        if self.energies:
            mine = np.array(doubled, np.int64)
            numbers = of_all_ranks(mine, words, self.shard.neurons, self.ranks)
        return Solution(words, end, early, len(events), len(events), numbers)
