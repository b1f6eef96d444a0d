"""The tickets of one window on one rank: growable arrays that the compiled loops fill.

`kernels/tickets.py` says what a ticket and a slot are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from distsim.kernels.tickets import SLOT_KIND, TICKET_KIND, Drawn, Held


class Tickets:
    """drawn: the slots and tickets that there are; room: the arrays whose beginnings they are."""

    def __init__(self, neurons: int) -> None:
        """`neurons`: n, the local ones."""
        self.room = Drawn(
            np.empty(64, SLOT_KIND), np.empty(64, TICKET_KIND), np.empty(64, np.int64)
        )
        self.held = Held(np.full(neurons, -1, np.int32), 0, 0)
        self._hold(0, 0)

    def fill(self, draw: Callable[..., tuple[Any, ...]], *arguments: Any) -> tuple[Any, ...]:
        """Have a compiled loop draw more into the room, from `held` on, enlarged as it needs it.

        draw: from the arguments, what is held and the room it gives the number of slots, of
        tickets, whether there was room for all, and perhaps more. Returns what it gave last.
        """
        while True:
            given = draw(*arguments, tuple(self.held), tuple(self.room))
            slots, tickets, done = given[:3]
            if not done:
                self.room = Drawn(*(np.concatenate([a, np.empty_like(a)]) for a in self.room))
            if not done or tickets != self.held.tickets or slots != self.held.slots:
                self._hold(slots, tickets)
            if done:
                return given

    def _hold(self, slots: int, tickets: int) -> None:
        room = self.room
        self.held = Held(self.held.slot_of, slots, tickets)
        self.drawn = Drawn(room.slots[:slots], room.tickets[:tickets], room.order[:tickets])
