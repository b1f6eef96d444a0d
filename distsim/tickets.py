"""The tickets of one window on one rank: growable arrays that the compiled loops fill.

A ticket is an event word (tick, neuron), a slot, and two thresholds: it fires, and its neuron
changes state, iff s z >= threshold[x] at that moment. A slot is a neuron that holds tickets.
"""

import numpy as np

from distsim.kernels import cpu


class Tickets:
    """slots: cpu.SLOT_KIND[slots]; drawn: cpu.TICKET_KIND[tickets]; order: int64[tickets], by time;
    slot_of: int32[n], -1 for none. The first three are the beginnings of the arrays in `room`."""

    def __init__(self, neurons: int) -> None:
        self.slot_of = np.full(neurons, -1, np.int32)
        kinds = (cpu.SLOT_KIND, cpu.TICKET_KIND, np.int64)
        self.room = tuple(np.empty(64, kind) for kind in kinds)
        self.hold(0, 0, done=True)

    def hold(self, slots: int, tickets: int, *, done: bool) -> None:
        """Note how many there are; if not all are done, for want of room, double the room."""
        if not done:
            self.room = tuple(np.concatenate([a, np.empty_like(a)]) for a in self.room)
        self.slots = self.room[0][:slots]
        self.drawn = self.room[1][:tickets]
        self.order = self.room[2][:tickets]
