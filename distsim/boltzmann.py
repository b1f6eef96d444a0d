"""The Boltzmann machine: discrete time, symmetric W without diagonal, Gibbs sampling.

At each step one neuron i, the next (`sequential`) or a random one (`random`), takes state 1 with
probability sigma(z_i / T), z = W x + b, and state 0 otherwise. The stationary law is
exp(-E / T) / Z with E = -x'Wx/2 - b'x (Ackley, Hinton, Sejnowski 1985). At T = 0 the neuron takes
the state [z_i > 0] and keeps its state at z_i = 0: the network of Hopfield (1982).

**Tickets.** A visited neuron has one ticket: x_i <- [z_i > T logit(u)], u uniform, drawn by the
number of the step. Windows only cut the steps into pieces: the chain does not depend on them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.communicator import Communicator
from distsim.kernels import cpu
from distsim.shard import Shard
from distsim.tickets import Tickets
from distsim.window import Window, follow, target_events

_SHORT_SWEEP = 4096  # steps: a window may have so many, however few the neurons


class Boltzmann:
    """Draws the tickets of a BM and counts its steps."""

    bounded = False  # every visit has its one ticket from the start

    def __init__(
        self,
        shard: Shard,
        tau: float,
        seed: int,
        target: int | None,
        ranks: Communicator,
        scan: str,
    ) -> None:
        self.shard = shard
        self.seed = np.uint64(seed)
        self.scale = tau / shard.unit
        self.sequential = scan == "sequential"
        self.target = target or target_events(shard.neurons, shard.strength, tau)
        self._most_steps = max(shard.neurons, _SHORT_SWEEP)
        self.step = 0
        self.exponent = self.target.bit_length() - 1

    def open(self, z: NDArray[Any], x: NDArray[np.uint8]) -> Window:
        """The next window: at most one sweep of a large network."""
        steps = min(1 << self.exponent, self._most_steps)
        return Window(self.step, self.exponent, steps, most=steps, cap=int(cpu.LIMIT))

    def times(self, window: Window, events: NDArray[np.uint64]) -> NDArray[np.float64]:
        """The steps of events, counted from 1."""
        times = np.empty(events.size)
        cpu.event_times(events, float(window.number), 0.0, 1.0, 0.0, times)
        return times

    def close(self, window: Window, events: NDArray[np.uint64], *, early: bool) -> None:
        self.step += window.steps
        may_grow = 1 << self.exponent < self._most_steps
        self.exponent = max(0, follow(self.exponent, events.size, self.target, may_grow=may_grow))

    def now(self) -> float:
        """Steps done, at the end of the last window."""
        return float(self.step)

    def clock(self) -> dict[str, float | None]:
        """What the next window follows from, besides z and x: for a checkpoint."""
        return {"step": self.step, "exponent": self.exponent}

    def set_clock(self, clock: dict[str, Any]) -> None:
        """Go on from a checkpoint's clock."""
        self.step, self.exponent = clock["step"], clock["exponent"]

    def draw(self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], tickets: Tickets) -> None:
        """The tickets of all visits to local neurons."""
        done = False
        while not done:
            slots, count, done = cpu.visits(
                self.seed,
                window.number,
                window.steps,
                self.shard.neurons,
                self.sequential,
                self.shard.first,
                self.shard.size,
                self.scale,
                self.shard.rest,
                tickets.slot_of,
                tickets.slots.size,
                tickets.room,
            )
            tickets.hold(slots, count, done=done)

    def prepare(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], tickets: Tickets
    ) -> None:
        """For `race`: the same tickets."""
        self.draw(window, z, x, tickets)
        self._position = 0

    def earliest(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], last: int, tickets: Tickets
    ) -> int:
        """The local neurons' earliest visit after event `last` that changes a state."""
        word, self._position = cpu.earliest_visit(
            tickets.drawn,
            tickets.slots,
            self._position,
            z,
            x,
            np.uint64(last),
        )
        return int(word)
