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

from distsim.boltzmann import Boltzmann
from distsim.communicator import Communicator
from distsim.kernels import cpu
from distsim.mcculloch_pitts import McCullochPitts
from distsim.shard import Shard
from distsim.solution import Solution
from distsim.tickets import Tickets
from distsim.timer import Timer
from distsim.window import Window

_NONE = int(cpu.NO_EVENT)
_MARKS = 4  # of `apply`, a local neuron: for all slots, unless windows are wider than the rule's


class Relax:
    """Solves a window at once."""

    def __init__(self, shard: Shard, ranks: Communicator, timer: Timer) -> None:
        self.shard = shard
        self.ranks = ranks
        self.timer = timer
        self.tickets = Tickets(shard.size)
        local = np.arange(shard.size)
        self._diagonal = shard.weights[shard.first + local, local]
        self._end = cpu.aligned((shard.size,), shard.kind)
        self._high = cpu.aligned((shard.size,), shard.kind)
        self._low = cpu.aligned((shard.size,), shard.kind)
        limit = 2**30 - 64 if shard.kind is np.int32 else 2**61
        self._changed = 0  # events since the last whole pass, and how many cannot overflow bounds
        self._room = limit >> 8 * shard.weights.itemsize - 1
        self._remote = np.empty(0, np.uint64)  # events of other ranks' neurons, by time
        self._applied = self._remote  # the events of the last whole pass, and z on the way
        self._room_for_marks = np.empty(_MARKS * shard.size, np.int64)
        self._marks = self._room_for_marks[:0].reshape(0, 0)

    def solve(
        self,
        law: McCullochPitts | Boltzmann,
        window: Window,
        z: NDArray[Any],
        x: NDArray[np.uint8],
    ) -> Solution:
        """The events of one window, from the states at its start."""
        law.draw(window, z, x, self.tickets)
        self.timer.stamp("draw")
        if isinstance(law, Boltzmann):
            return self._solve_visits(law, window, z, x)
        events = self._guess(window, z, x)
        bounded = events  # those that the bounds on z are for
        self._apply(z, events)
        replays, applies = 0, 1
        while True:
            events, early, rounds = self._settle(law, window, z, x, events)
            replays += rounds
            body = events[:-1] if early else events
            changes, passes = self._adjust(z, bounded, body)
            applies += passes
            bounded = body
            again, crossed = self._deepen(law, window, z, x, changes, body, events)
            if not again:
                break
        kept = 1 + self._crossing(window, z, x, events) if crossed else events.size + 1
        if kept <= events.size:
            events, early = events[:kept], True
            self._end[:] = z
            cpu.accumulate(self.shard.weights, events, self._end)
        elif early:
            cpu.accumulate(self.shard.weights, events[-1:], self._end)
        self.timer.stamp("apply")
        return Solution(events, self._end, early, replays, applies)

    def _solve_visits(
        self, law: Boltzmann, window: Window, z: NDArray[Any], x: NDArray[np.uint8]
    ) -> Solution:
        """The events of a BM's window: z is of no use before they are known."""
        events = self._guess(window, z, x) if self.ranks.size > 1 else self._remote
        events, _, replays = self._settle(law, window, z, x, events)
        self._end[:] = z
        cpu.accumulate(self.shard.weights, events, self._end)
        self.timer.stamp("apply")
        return Solution(events, self._end, False, replays, 1)

    def _settle(
        self,
        law: McCullochPitts | Boltzmann,
        window: Window,
        z: NDArray[Any],
        x: NDArray[np.uint8],
        events: NDArray[np.uint64],
    ) -> tuple[NDArray[np.uint64], bool, int]:
        """Replay until the events are what they were: (events, whether the window ends early,
        replays)."""
        replays = 0
        while True:
            replays += 1
            found, early = self._replay(law, window, z, x)
            # Compared as bytes: NumPy's array_equal takes several times as long.
            if self.ranks.size == 1 or found.tobytes() == events.tobytes():
                return found, early, replays
            events = found

    def _guess(self, window: Window, z: NDArray[Any], x: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """All ranks' events, by time, if no neuron had inputs. Any guess leads to the same end."""
        tickets = self.tickets
        local = cpu.guess(z, x, tickets.slots, tickets.drawn, tickets.order, window.most)
        self.timer.stamp("replay")
        return self._gather(window, local, _NONE)[0]

    def _apply(self, z: NDArray[Any], events: NDArray[np.uint64]) -> None:
        """z after the events, and bounds on z on the way."""
        self._changed = 0
        passes = -(-events.size // cpu.PASS)
        slots = self.tickets.slots[: self._room_for_marks.size // max(1, passes)]
        self._applied = events
        self._marks = self._room_for_marks[: passes * slots.size].reshape(passes, slots.size)
        cpu.apply(
            self.shard.weights, events, z, self._end, self._high, self._low, slots, self._marks
        )
        self.timer.stamp("apply")

    def _adjust(
        self, z: NDArray[Any], bounded: NDArray[np.uint64], events: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], int]:
        """Bring what was found for `bounded` to `events`: the changes; 1 for a whole new pass.

        A few changed events are only added: then the bounds on z become wider.
        """
        most = min(events.size // 4 + 1, self._room) - self._changed
        changes = cpu.adjust(
            self.shard.weights, bounded, events, most, self._end, self._high, self._low
        )
        self._changed += changes.size
        if changes.size > most:
            self._apply(z, events)
            return changes, 1
        self.timer.stamp("apply")
        return changes, 0

    def _deepen(
        self,
        law: McCullochPitts,
        window: Window,
        z: NDArray[Any],
        x: NDArray[np.uint8],
        changes: NDArray[np.uint64],
        body: NDArray[np.uint64],
        events: NDArray[np.uint64],
    ) -> tuple[bool, bool]:
        """Whether any rank must replay again, or may have seen some s z above the cap.

        Tickets are drawn as deep as the bounds on z reach; a rank replays again if one of these, or
        one that is no longer beyond them, makes an event or unmakes one. body: the events without
        the one at which the window ends early; later tickets do not count.
        """
        tickets = self.tickets
        drawn = tickets.drawn.size
        top = law.deepen(window, x, body, self._high, self._low, tickets)
        again = cpu.unsettled(
            self.shard.weights,
            z,
            x,
            self.shard.first,
            self._high,
            self._low,
            tickets.slots,
            tickets.drawn,
            tickets.order,
            drawn,
            changes,
            events,
            body.size < events.size,
        )
        self.timer.stamp("deepen")
        agreed = self.ranks.maximum(2 * again + (top > window.cap))
        self.timer.stamp("exchange")
        return agreed >= 2, agreed == 1

    def _replay(
        self,
        law: McCullochPitts | Boltzmann,
        window: Window,
        z: NDArray[Any],
        x: NDArray[np.uint8],
    ) -> tuple[NDArray[np.uint64], bool]:
        """All ranks' events, by time, if the other ranks' are those that were found last.

        Also whether the window ends right after the last of them.
        """
        tickets = self.tickets
        if isinstance(law, Boltzmann):
            local = cpu.sweep(
                self.shard.weights,
                law.sequential,
                z,
                x,
                tickets.slots,
                tickets.drawn,
                self._remote,
            )
            self.timer.stamp("replay")
            return self._gather(window, local, _NONE)
        local, stop = cpu.replay(
            self.shard.weights,
            self._diagonal,
            z,
            x,
            self.shard.first,
            self._high,
            self._low,
            tickets.slots,
            tickets.drawn,
            tickets.order,
            self._applied,
            self._marks,
            self._remote,
            window.most,
            window.cap,
        )
        self.timer.stamp("replay")
        return self._gather(window, local, stop)

    def _gather(
        self, window: Window, local: NDArray[np.uint64], stop: int
    ) -> tuple[NDArray[np.uint64], bool]:
        """The events of all ranks, by time; whether the window ends right after the last."""
        if self.ranks.size == 1:
            return local, stop != _NONE
        parts, counts, stop = self.ranks.exchange(local, stop)
        events, self._remote = cpu.merge(
            parts, counts, self.ranks.rank, np.uint64(stop), window.most
        )
        self.timer.stamp("exchange")
        return events, stop != _NONE or events.size == window.most

    def _crossing(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], events: NDArray[np.uint64]
    ) -> int:
        """Index of the first event that lifts some s z above the window's cap, or events.size."""
        index = cpu.crossing(
            self.shard.weights, events, z, x, self.shard.first, self._high, self._low, window.cap
        )
        return self.ranks.minimum(index)
