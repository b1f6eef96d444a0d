"""The tickets of one window on one rank: growable arrays that the compiled loops fill.

`kernels/tickets.py` says what a ticket and a slot are.
"""

from collections.abc import Callable

import numpy as np

from distsim.kernels.tickets import SLOT_KIND, TICKET_KIND, Drawn, Held


class Tickets:
    """drawn: the slots and tickets that there are; room: the arrays whose beginnings they are."""

    def __init__(self, neurons: int) -> None:
        """`neurons`: n, the local ones."""
        self.room = Drawn(
            np.empty(64, SLOT_KIND), np.empty(64, TICKET_KIND), np.empty(64, np.int64)
        )
        self._slot_of = np.full(neurons, -1, np.int32)
        self._hold(0, 0)

    @property
    def held(self) -> Held:
        """How much of the room is in use."""
        return Held(self._slot_of, self.drawn.slots.size, self.drawn.tickets.size)

    def fill(self, draw: Callable[[], tuple[int, int, bool]]) -> None:
        """Have a compiled loop draw more into the room, from `held` on, enlarged as it needs it.

        draw: gives the number of slots, of tickets, and whether there was room for all.
        """
        done = False
        while not done:
            slots, tickets, done = draw()
            if not done:
                self.room = Drawn(*(np.concatenate([a, np.empty_like(a)]) for a in self.room))
            self._hold(slots, tickets)

    def _hold(self, slots: int, tickets: int) -> None:
        self.drawn = Drawn(
            self.room.slots[:slots], self.room.tickets[:tickets], self.room.order[:tickets]
        )
