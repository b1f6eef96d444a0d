"""The Boltzmann machine: discrete time, symmetric W without diagonal, Gibbs sampling.

At each step one neuron i, the next (`sequential`) or a random one (`random`), takes state 1 with
probability sigma(z_i / T), z = W x + b, and state 0 otherwise. The stationary law is
exp(-E / T) / Z with E = -x'Wx/2 - b'x (Ackley, Hinton, Sejnowski 1985). At T = 0 the neuron takes
the state [z_i > 0] and keeps its state at z_i = 0: the network of Hopfield (1982).

**Tickets.** A visited neuron has one ticket: x_i <- [z_i > T logit(u)], u uniform, drawn by the
number of the step. Windows only cut the steps into pieces: the chain does not depend on them.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.kernels.boltzmann import Scan, earliest_visit, visits
from distsim.kernels.elementary import LN2
from distsim.kernels.events import LIMIT
from distsim.kernels.record import event_times
from distsim.kernels.replay import Bounds
from distsim.kernels.window import Clock, after_steps, steps_of
from distsim.laws.conditions import Conditions
from distsim.laws.course import Course
from distsim.laws.names import Names
from distsim.laws.tickets import Tickets
from distsim.laws.window import Window
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard

# The largest logit(u), of u = 1 - 2^-53: the tickets' uniforms are (k + 1/2) / 2^52. The least is
# its negative.
LARGEST_LOGIT = 53 * LN2
_SHORT_SWEEP = 4096  # steps: a window may have so many, however few the neurons


def at_rest(step: int) -> InputError:
    """The error for a network that no longer changes."""
    return InputError(
        f"the network is at rest: after step {step} no neuron's response is within reach of a "
        "threshold, and none will change state; allowed: a larger tau, another network, or a "
        "length in steps or sweeps"
    )


def may_change(
    scale: float, rest: NDArray[np.float64], z: NDArray[Any], x: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Which of these neurons have a ticket among all possible ones that changes their state.

    Without such a neuron on any rank z stays, and so do all states, for ever. scale: T in weight
    units; rest: float64[n]; z: int[n]; x: uint8[n].
    """
    if scale > 0.0:  # a ticket changes state 0 at z >= its threshold, and state 1 below it
        reach = scale * LARGEST_LOGIT
        lowest = np.ceil(np.clip(-reach - rest, -LIMIT, LIMIT)).astype(np.int64)
        highest = np.ceil(np.clip(reach - rest, -LIMIT, LIMIT)).astype(np.int64)
    else:
        lowest = np.floor(-rest).astype(np.int64) + 1
        highest = -np.floor(rest).astype(np.int64)
    return np.where(x == 0, z >= lowest, z < highest)


class Boltzmann:
    """Draws the tickets of a BM and counts its steps: `law.Law`."""

    name = "bm"
    bounded = False
    octaves_per_neuron = 0

    def __init__(
        self,
        shard: Shard[Any],
        conditions: Conditions,
        names: Names,
        target: int | None,
        ranks: Communicator,
        scan: str,
    ) -> None:
        self.shard = shard
        self.ranks = ranks
        self.names = names
        self.course = Course(conditions, shard, 1.0, target)
        self.most = max(shard.neurons, _SHORT_SWEEP)
        self.scan: Scan | None = Scan(
            *names,
            shard.neurons,
            scan == "sequential",
            shard.first,
            shard.size,
            self.course.held,
        )
        self.clock = Clock(exponent=self.target.bit_length() - 1)

    @property
    def scale(self) -> float:
        return self.course.scale

    @property
    def target(self) -> int:
        return self.course.target

    def open(self, z: NDArray[Any], x: NDArray[np.uint8]) -> Window:
        """The next window: at most one sweep of a large network."""
        assert self.clock.exponent is not None
        change = self.course.follow(self.clock)
        steps = steps_of(tuple(self.clock), self.most, change)
        return Window(self.clock.number, self.clock.exponent, steps, most=steps, cap=int(LIMIT))

    def close(
        self, window: Window, events: NDArray[np.uint64], *, early: bool
    ) -> NDArray[np.float64]:
        """Steps are counted from 1."""
        clock, times = tuple(self.clock), np.empty(events.size)
        event_times(events, self.clock.high, 0.0, 1.0, 0.0, times)
        self.clock = Clock(*after_steps(clock, window.steps, events.size, self.target, self.most))
        return times

    def now(self) -> float:
        """Steps done, at the end of the last window."""
        return self.clock.high

    def standstill(self, z: NDArray[Any], x: NDArray[np.uint8]) -> InputError | None:
        """Where no ticket can change a state, and conditions stay as they are."""
        course = self.course
        if course.follow(self.clock) < math.inf:
            return None
        moves = may_change(course.scale, course.rest, z, x) & ~course.held
        if self.ranks.maximum(bool(moves.any())):
            return None
        return at_rest(self.clock.number)

    def draw(self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], tickets: Tickets) -> None:
        """The tickets of all visits to local neurons."""
        assert self.scan is not None
        scan, source = tuple(self.scan), (self.scale, self.course.rest)
        tickets.fill(visits, scan, source, window.number, window.steps)

    def deepen(
        self,
        window: Window,
        x: NDArray[np.uint8],
        events: NDArray[np.uint64],
        bounds: Bounds,
        tickets: Tickets,
    ) -> int:
        """Nothing: every visit has its one ticket from the start."""
        return -int(LIMIT)

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
        slots, drawn, _ = tickets.drawn
        word, self._position = earliest_visit(drawn, slots, self._position, z, x, np.uint64(last))
        return int(word)
