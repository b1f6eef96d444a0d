"""The tickets of one window on one rank, as the compiled loops hold them.

A ticket is an event word with state 0, a slot, and two thresholds, for state 0 and 1 of its neuron:
it fires, and its neuron changes state, iff s z >= threshold[x] at that moment. A slot is a local
neuron that holds tickets. `tickets.cuh` is the twin, `Slot` and `Ticket` of `layout.cuh` what it
holds.
"""

from typing import Any, NamedTuple

import numpy as np

TICKET_KIND = np.dtype([("key", np.uint64), ("slot", np.int64), ("threshold", np.int64, 2)])
SLOT_KIND = np.dtype(
    [
        ("neuron", np.int64),  # local
        # Its next ticket (MPM): number, level, threshold without the rest of the bias, event word.
        ("depth", np.int64),
        ("level", np.float64),
        ("theta", np.float64),
        ("key", np.uint64),
        # In the last replay: x, and the bounds on z that it took.
        ("state", np.int64),
        ("high", np.int64),
        ("low", np.int64),
    ]
)


class Drawn(NamedTuple):
    """What a window holds, or the room for it: arrays of which only the beginnings are in use.

    slots: SLOT_KIND[slots]; tickets: TICKET_KIND[tickets]; order: int64[tickets], by time.
    """

    slots: Any
    tickets: Any
    order: Any


class Held(NamedTuple):
    """How much of the room is in use, and who uses it.

    slot_of: int32[n], -1 for a neuron without a slot; slots, tickets: how many.
    """

    slot_of: Any
    slots: int
    tickets: int
