"""One window by synchronous relaxation: many transitions a collective, the same events.

    draw      the tickets that may fire, if no response rises by more than a margin
    repeat
        repeat
            replay    each rank runs its tickets, in order of time, against the others' events
            exchange  all-gather the local events; sort
        until the events are what they were
        apply     add the events' columns to z, with the extremes of z on the way;
                  a neuron that may have reached a ticket not drawn draws deeper
    until no rank has drawn any
    commit    states, z, time

A fixed point is the sequential trajectory, and there is only one: the earliest wrong event would
have only right events before it. Each replay makes at least one more event final, usually nearly
all. The margin decides speed only, never the result. Eick, Greenberg, Lubachevsky, Weiss,
"Synchronous relaxation for parallel simulations with applications to circuit-switched networks"
(1993); Lubachevsky, Weiss, "Synchronous relaxation for parallel Ising spin simulations" (2001).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.boltzmann import Boltzmann
from distsim.communicator import Communicator
from distsim.kernels import cpu
from distsim.mcculloch_pitts import McCullochPitts
from distsim.shard import Shard
from distsim.solution import Solution
from distsim.tickets import Tickets
from distsim.timer import Timer
from distsim.window import Window

_STATE = np.uint64(1)  # bits of the new state, below time and neuron, which order events


class Relax:
    """Solves a window at once."""

    def __init__(self, shard: Shard, ranks: Communicator, timer: Timer) -> None:
        self.shard = shard
        self.ranks = ranks
        self.timer = timer
        self.tickets = Tickets(shard.size)
        self._end = np.empty(shard.size, shard.kind)
        self._high = np.empty(shard.size, shard.kind)
        self._low = np.empty(shard.size, shard.kind)
        self._changed = np.zeros(shard.size, np.uint8)
        self._sums = np.empty(0, np.int64)
        self._states = np.empty(0, np.uint8)
        self._seen = np.empty(0, np.int64)
        self._merged = np.empty(0, np.uint64)
        self._local = np.empty(0, np.uint64)

    def solve(
        self,
        law: McCullochPitts | Boltzmann,
        window: Window,
        z: NDArray[Any],
        x: NDArray[np.uint8],
    ) -> Solution:
        """The events of one window, from the states at its start."""
        self.tickets.clear()
        law.draw(window, z, x, self.tickets)
        self.timer.stamp("draw")
        events = np.empty(0, np.uint64)
        replays = applies = 0
        while True:
            order = self.tickets.order()
            while True:
                replays += 1
                found, early = self._replay(window, z, x, order, self._remote(events))
                settled = self.ranks.size == 1 or np.array_equal(found, events)
                events = found
                if settled:
                    break
            applies += 1
            if isinstance(law, Boltzmann):
                self._finish(z, events)
                return Solution(events, self._end, False, replays, applies)
            again, crossed = self._apply(law, window, z, x, events[:-1] if early else events)
            if not again:
                break
        kept = 1 + self._crossing(window, z, x, events) if crossed else events.size + 1
        if kept <= events.size:
            events, early = events[:kept], True
            self._finish(z, events)
        elif early:
            cpu.accumulate(self.shard.weights, events[-1:], self._end)
            self.timer.stamp("apply")
        return Solution(events, self._end, early, replays, applies)

    def _apply(
        self,
        law: McCullochPitts,
        window: Window,
        z: NDArray[Any],
        x: NDArray[np.uint8],
        events: NDArray[np.uint64],
    ) -> tuple[bool, bool]:
        """z after the events; whether any rank drew deeper, or saw some s z above the cap."""
        cpu.apply(self.shard.weights, events, z, self._end, self._high, self._low)
        cpu.mark(events, self.shard.first, self._changed, 1)
        deeper, top = law.deepen(window, self._changed, x, self._high, self._low, self.tickets)
        cpu.mark(events, self.shard.first, self._changed, 0)
        agreed = self.ranks.maximum(2 * deeper + (top > window.cap))
        self.timer.stamp("apply")
        return agreed >= 2, agreed == 1

    def _finish(self, z: NDArray[Any], events: NDArray[np.uint64]) -> None:
        """z after the events."""
        self._end[:] = z
        cpu.accumulate(self.shard.weights, events, self._end)
        self.timer.stamp("apply")

    def _replay(
        self,
        window: Window,
        z: NDArray[Any],
        x: NDArray[np.uint8],
        order: NDArray[np.int64],
        remote: NDArray[np.uint64],
    ) -> tuple[NDArray[np.uint64], bool]:
        """All ranks' events, by time, if the other ranks' are `remote`.

        Also whether the window ends right after the last of them.
        """
        tickets = self.tickets
        if self._sums.size < tickets.slots:
            size = 2 * tickets.slots
            self._sums, self._seen = np.empty(size, np.int64), np.empty(size, np.int64)
            self._states = np.empty(size, np.uint8)
        if self._merged.size < remote.size + order.size:
            size = 2 * (remote.size + order.size)
            self._merged, self._local = np.empty(size, np.uint64), np.empty(size, np.uint64)
        count, made, stop = cpu.replay(
            self.shard.weights, z, x, self.shard.first, tickets.neurons, tickets.slots,
            tickets.keys, tickets.slot, tickets.threshold, order, remote, window.most, window.cap,
            self._sums, self._states, self._seen, self._merged, self._local,
        )
        self.timer.stamp("replay")
        if self.ranks.size == 1:
            return self._merged[:count].copy(), stop != cpu.NO_EVENT
        found, stop = self.ranks.exchange(self._local[:made], int(stop))
        found = found[np.argsort(found >> _STATE, kind="stable")]
        ends = int(np.searchsorted(found >> _STATE, np.uint64(stop) >> _STATE, side="right"))
        self.timer.stamp("exchange")
        kept = min(ends, window.most)
        return found[:kept], stop != int(cpu.NO_EVENT) or kept == window.most

    def _remote(self, events: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The events of other ranks' neurons."""
        if self.ranks.size == 1:
            return events[:0]
        neuron = (events >> np.uint64(1)) & np.uint64((1 << cpu.NEURON_BITS) - 1)
        first, stop = self.shard.first, self.shard.first + self.shard.size
        return events[(neuron < first) | (neuron >= stop)]

    def _crossing(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], events: NDArray[np.uint64]
    ) -> int:
        """Index of the first event that lifts some s z above the window's cap, or events.size."""
        cpu.mark(events, self.shard.first, self._changed, 1)
        index = cpu.crossing(
            self.shard.weights, events, z, x, self.shard.first, self._changed,
            self._high, self._low, window.cap,
        )
        cpu.mark(events, self.shard.first, self._changed, 0)
        return self.ranks.minimum(index)
