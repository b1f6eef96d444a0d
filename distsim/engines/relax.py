"""One window by synchronous relaxation: many transitions a collective, the same events.

    draw      the tickets that may fire, if no response rises by more than a margin
    guess     the events, as if no neuron had inputs
    apply     add their columns to z, with bounds on z and marks of it on the way
    repeat
        repeat
            replay    each rank runs its tickets, in order of time, against the others' events
            exchange  all-gather the local events; merge
        until the events are what they were
        adjust    z and its bounds to the events that changed
        deepen    a neuron that may have reached a ticket not drawn draws more
    until no ticket on any rank disagrees with the events
    commit    states, z, time

A BM has all its tickets from the start: one rank makes no guess, and columns are added at the end.

A fixed point is the sequential trajectory, and there is only one: the earliest wrong event would
have only right events before it. Each replay makes at least one more event final, usually nearly
all. A replay decides a ticket whose threshold is beyond the bounds on z without looking at the
events; `deepen` checks it by the new bounds. For another it adds to the mark before it what came
since and what changed. Margin, bounds, marks and guess decide speed only, never the result.

Eick, Greenberg, Lubachevsky, Weiss, "Synchronous relaxation for parallel simulations with
applications to circuit-switched networks" (1993); Lubachevsky, Weiss, "Synchronous relaxation for
parallel Ising spin simulations" (2001).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.engines.engine import NONE, Solution, of_all_ranks
from distsim.engines.timer import Timer
from distsim.kernels.apply import PASS, Marks, crossing
from distsim.kernels.energy import changes_of_energy
from distsim.kernels.events import NO_EVENT
from distsim.kernels.memory import aligned
from distsim.kernels.order import merge
from distsim.kernels.replay import Bounds, Local, guess, replay, unsettled
from distsim.kernels.sweep import sweep
from distsim.laws.law import Law
from distsim.laws.tickets import Tickets
from distsim.laws.window import Window
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard
from distsim.weights.storage import HostStorage

_NONE = int(NO_EVENT)
_MARKS = 4  # of `apply`, a local neuron: for all slots, unless windows are wider than the rule's


class Relax:
    """Solves a window at once: `engine.Engine`."""

    def __init__(
        self,
        shard: Shard[HostStorage],
        ranks: Communicator,
        timer: Timer,
        energies: bool = False,
    ) -> None:
        self.energies = energies
        self.neurons = shard.neurons
        self.storage = shard.storage
        self.first = shard.first
        self.ranks = ranks
        self.timer = timer
        self.tickets = Tickets(shard.size)
        self._diagonal = self.storage.diagonal(shard.first)
        self._end, high, low = (aligned((shard.size,), shard.kind) for _ in range(3))
        self._bounds = Bounds(high, low)
        limit = 2**30 - 64 if shard.kind is np.int32 else 2**61
        self._changed = 0  # events since the last whole pass, and how many cannot overflow bounds
        self._room = limit >> self.storage.bits - 1
        self._remote = np.empty(0, np.uint64)  # events of other ranks' neurons, by time
        self._room_for_marks = np.empty(_MARKS * shard.size, np.int64)
        self._marks = Marks(self._remote, self._room_for_marks[:0].reshape(0, 0), NONE)

    def solve(self, law: Law, window: Window, z: NDArray[Any], x: NDArray[np.uint8]) -> Solution:
        law.draw(window, z, x, self.tickets)
        self.timer.stamp("draw")
        local = Local(self.storage.columns, self._diagonal, self.first, z, x)
        if law.scan is not None:
            return self._solve_visits(local, window, law.scan.sequential)
        events = self._guess(local, window)
        bounded = events  # those that the bounds on z are for
        self._apply(z, events)
        replays, applies = 0, 1
        while True:
            events, early, rounds = self._settle(local, window, events)
            replays += rounds
            body = events[:-1] if early else events
            changes, passes = self._adjust(z, bounded, body)
            applies += passes
            bounded = body
            again, crossed = self._deepen(law, local, window, changes, events, early)
            if not again:
                break
        kept = events.size + 1
        if crossed:
            kept = 1 + self._crossing(local, window, events, law.course.clamped)
        if kept <= events.size:
            events, early = events[:kept], True
            self._end[:] = z
            self.storage.accumulate(events, self._end)
        elif early:
            self.storage.accumulate(events[-1:], self._end)
        self.timer.stamp("apply")
        doubled = NONE
        if self.energies:
            mine = changes_of_energy(
                tuple(local), self.tickets.held.slot_of, tuple(self._marks), events
            )
            doubled = of_all_ranks(mine, events, self.neurons, self.ranks)
            self.timer.stamp("energy")
        return Solution(events, self._end, early, replays, applies, doubled)

    def _solve_visits(self, local: Local, window: Window, sequential: bool) -> Solution:
        """The events of a window in which all tickets are known: z is of no use before they are."""
        events = self._guess(local, window) if self.ranks.size > 1 else self._remote
        replays = 0
        while True:
            replays += 1
            mine, changes = sweep(tuple(local), sequential, tuple(self.tickets.drawn), self._remote)
            self.timer.stamp("replay")
            found, _ = self._gather(window, mine, _NONE)
            if self._settled(found, events):
                break
            events = found
        self._end[:] = local.z
        self.storage.accumulate(found, self._end)
        self.timer.stamp("apply")
        doubled = NONE
        if self.energies:
            doubled = of_all_ranks(changes, found, self.neurons, self.ranks)
            self.timer.stamp("energy")
        return Solution(found, self._end, False, replays, 1, doubled)

    def _settle(
        self, local: Local, window: Window, events: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], bool, int]:
        """Replay until the events are what they were: (events, whether the window ends early,
        replays)."""
        replays = 0
        while True:
            replays += 1
            mine, stop = replay(
                tuple(local),
                tuple(self._bounds),
                tuple(self.tickets.drawn),
                tuple(self._marks),
                self._remote,
                window.most,
                window.cap,
            )
            self.timer.stamp("replay")
            found, early = self._gather(window, mine, stop)
            if self._settled(found, events):
                return found, early, replays
            events = found

    def _settled(self, found: NDArray[np.uint64], events: NDArray[np.uint64]) -> bool:
        """Whether a replay found what the others ran against."""
        # Compared as bytes: NumPy's array_equal takes several times as long.
        return self.ranks.size == 1 or found.tobytes() == events.tobytes()

    def _guess(self, local: Local, window: Window) -> NDArray[np.uint64]:
        """All ranks' events, by time, if no neuron had inputs. Any guess leads to the same end."""
        mine = guess(tuple(local), tuple(self.tickets.drawn), window.most)
        self.timer.stamp("replay")
        return self._gather(window, mine, _NONE)[0]

    def _apply(self, z: NDArray[Any], events: NDArray[np.uint64]) -> None:
        """z after the events, and bounds on z on the way."""
        self._changed = 0
        passes = -(-events.size // PASS)
        slots = self.tickets.drawn.slots[: self._room_for_marks.size // max(1, passes)]
        values = self._room_for_marks[: passes * slots.size].reshape(passes, slots.size)
        inside = np.empty(events.size, np.int64) if self.energies else NONE
        self._marks = Marks(events, values, inside)
        self.storage.apply(z, self._end, self._bounds, slots, self._marks, self.first)
        self.timer.stamp("apply")

    def _adjust(
        self, z: NDArray[Any], bounded: NDArray[np.uint64], events: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], int]:
        """Bring what was found for `bounded` to `events`: the changes; 1 for a whole new pass.

        A few changed events are only added: then the bounds on z become wider.
        """
        most = min(events.size // 4 + 1, self._room) - self._changed
        changes = self.storage.adjust(bounded, events, most, self._end, self._bounds)
        self._changed += changes.size
        if changes.size > most:
            self._apply(z, events)
            return changes, 1
        self.timer.stamp("apply")
        return changes, 0

    def _deepen(
        self,
        law: Law,
        local: Local,
        window: Window,
        changes: NDArray[np.uint64],
        events: NDArray[np.uint64],
        early: bool,
    ) -> tuple[bool, bool]:
        """Whether any rank must replay again, or may have seen some s z above the cap.

        Tickets are drawn as deep as the bounds on z reach; a rank replays again if one of these, or
        one that is no longer beyond them, makes an event or unmakes one. early: the window ends at
        the last event, which does not count, nor do later tickets.
        """
        known = self.tickets.drawn.tickets.size
        body = events[:-1] if early else events
        top = law.deepen(window, local.x, body, self._bounds, self.tickets)
        again = unsettled(
            tuple(local),
            tuple(self._bounds),
            tuple(self.tickets.drawn),
            known,
            changes,
            events,
            early,
        )
        self.timer.stamp("deepen")
        agreed = self.ranks.maximum(2 * again + (top > window.cap))
        self.timer.stamp("exchange")
        return agreed >= 2, agreed == 1

    def _gather(
        self, window: Window, mine: NDArray[np.uint64], stop: int
    ) -> tuple[NDArray[np.uint64], bool]:
        """The events of all ranks, by time; whether the window ends right after the last."""
        if self.ranks.size == 1:
            return mine, stop != _NONE
        parts, counts, stop = self.ranks.exchange(mine, stop)
        events, self._remote = merge(parts, counts, self.ranks.rank, np.uint64(stop), window.most)
        self.timer.stamp("exchange")
        return events, stop != _NONE or events.size == window.most

    def _crossing(
        self,
        local: Local,
        window: Window,
        events: NDArray[np.uint64],
        clamped: NDArray[np.int64],
    ) -> int:
        """Index of the first event that lifts some s z above the window's cap, or events.size."""
        bounds = tuple(self._bounds)
        return self.ranks.minimum(crossing(tuple(local), events, bounds, window.cap, clamped))
