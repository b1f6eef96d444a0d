"""The McCulloch-Pitts machine: continuous time, any weights, self-edges allowed.

Neuron i is armed (x_i = 0) or refractory (x_i = 1) and changes state as a Poisson process of rate

    lambda_i = exp(s_i z_i / (2 tau)),   z = W x + b,   s_i = 1 - 2 x_i.

The next neuron is i with probability softmax(s z / (2 tau))_i, the holding time exponential with
rate sum_i lambda_i. For symmetric W the stationary law is exp(-E / tau) / Z with
E = -x'Wx/2 - b'x. Liu, Chotibut, Hillar, Lin, "Biologically plausible sequence learning with
spiking neural networks", arXiv 1911.10943, write the rate with 1/tau: their tau is twice ours.

**Tickets.** In a window of width D neuron i has the points (t, level) of a unit Poisson measure on
[0, D) x [0, inf). In order of level, level_k = G_k / D with G_k a sum of k + 1 standard
exponentials, t_k uniform. A point at or under the rate is an arrival: ticket k changes the state
at t_k iff level_k <= lambda_i(t_k-), that is iff s_i z_i >= 2 tau ln(G_k / D).

**Where a window ends.** At its width D, or right after its 4 target-th event, or right after an
event that lifts some rate above 2^6 / D (so that no neuron ever needs more than about a hundred
tickets), or where conditions change. These are stopping times of the chain, and the next window's
tickets are independent of the past: by the strong Markov property the chain keeps its law.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.kernels.boltzmann import Scan
from distsim.kernels.elementary import LN2
from distsim.kernels.events import NO_EVENT
from distsim.kernels.mcculloch_pitts import (
    Reach,
    Source,
    arrivals,
    largest_response,
    lowest_thresholds,
    more_arrivals,
)
from distsim.kernels.race import earliest_arrival, first_tickets
from distsim.kernels.replay import Bounds
from distsim.kernels.window import (
    END_OF_TIME,
    NEVER,
    WIDEST,
    Clock,
    after_window,
    end_word,
    margin_of,
    octaves_of,
    width_and_cap,
)
from distsim.laws.conditions import Conditions
from distsim.laws.course import Course
from distsim.laws.names import Names
from distsim.laws.tickets import Tickets
from distsim.laws.window import Window
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard

_TABLES = 7  # bounds of first tickets are kept for so many widths besides the last


def check_temperature(shard: Shard[Any], conditions: Conditions) -> None:
    """Refuse a temperature at which rates could not be told apart in double precision."""
    tau = float(conditions.taus.min())
    octaves = shard.reach * shard.unit / (2.0 * tau * LN2)
    if octaves > 2.0**30:
        raise InputError(
            f"tau {tau:g}: rates up to 2^{octaves:.3g}; allowed for this network: "
            f"tau above {tau * octaves / 2.0**30:.3g}, so that rates stay under 2^(2^30)"
        )


def at_rest(octaves: float) -> InputError:
    """The error for a network that no longer changes; octaves: log2 of its largest rate."""
    why = f"its largest rate is 2^{octaves:.0f}" if octaves > NEVER else "all neurons are clamped"
    return InputError(
        f"the network is at rest: {why}, and model time 2^{WIDEST} "
        "has come before the run's last transition; allowed: rates that make it earlier (a larger "
        "tau, or another network), or a length in time"
    )


class McCullochPitts:
    """Draws the tickets of an MPM and keeps its clock, a double-double: `law.Law`."""

    name = "mpm"
    bounded = True
    scan: Scan | None = None

    def __init__(
        self,
        shard: Shard[Any],
        conditions: Conditions,
        names: Names,
        target: int | None,
        ranks: Communicator,
    ) -> None:
        check_temperature(shard, conditions)
        self.shard = shard
        self.ranks = ranks
        self.names = names
        self.course = Course(conditions, shard, 2.0, target)
        # log2 of the first window's width times its rates, if all N are the largest one.
        self.octaves_per_neuron = self.target.bit_length() - shard.neurons.bit_length()
        self.clock = Clock()
        self._tables: dict[tuple[int, float], tuple[NDArray[np.int64], int]] = {}
        self._bound = np.empty(shard.size, shard.kind)  # see kernels' draw_tickets

    @property
    def scale(self) -> float:
        return self.course.scale

    @property
    def target(self) -> int:
        return self.course.target

    @property
    def most(self) -> int:
        return 4 * self.target

    # ------------------------------------------------------------------------- the window rule
    def open(self, z: NDArray[Any], x: NDArray[np.uint8]) -> Window:
        """The next window: the rule's width, or less where a rate is above 2^4 / D.

        Where all rates are too small for a double to time the rule's, it is 2^1000 wide. Its
        tickets are as exact as any, and a run may end inside.
        """
        change = self.course.follow(self.clock)
        top = self.ranks.maximum(largest_response(z, x, self.course.clamped))
        if self.clock.exponent is None:  # all N neurons at the largest rate make `target` events
            exponent = math.floor(self.octaves_per_neuron - octaves_of(top, self.scale))
            self.clock = self.clock._replace(exponent=exponent)
        width, cap = width_and_cap(top, self.clock.exponent, self.scale)
        end = end_word(tuple(self.clock), width, change) if change < math.inf else NO_EVENT
        change = math.inf if end == NO_EVENT else change
        return Window(self.clock.number, width, 0, self.most, cap, change, np.uint64(end))

    def close(
        self, window: Window, events: NDArray[np.uint64], *, early: bool
    ) -> NDArray[np.float64]:
        """Move the clock to the window's end: its width, the change that cuts it, or its last event
        if it ended early."""
        clock, width, times = tuple(self.clock), window.exponent, np.empty(events.size)
        self.clock = Clock(
            *after_window(clock, width, window.change, events, self.target, early, times)
        )
        return times

    def now(self) -> float:
        """Model time at the end of the last window."""
        return self.clock.high

    def standstill(self, z: NDArray[Any], x: NDArray[np.uint8]) -> InputError | None:
        """At the end of model time."""
        if self.clock.high < END_OF_TIME:
            return None
        top = self.ranks.maximum(largest_response(z, x, self.course.clamped))
        return at_rest(octaves_of(top, self.scale))

    # ----------------------------------------------------------------------------- the tickets
    def _source(self, window: Window) -> Source:
        """What the compiled loops draw the window's tickets from."""
        return Source(
            self.names.seed,
            window.number | self.names.replica,
            self.shard.first,
            window.exponent,
            self.scale,
            self.course.rest,
            window.end,
            self.course.clamped,
        )

    def draw(self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], tickets: Tickets) -> None:
        """The tickets of the neurons that may fire if no s z rises by more than the margin."""
        key = window.exponent, self.scale
        if key not in self._tables:
            margin = margin_of(self.shard.spread, self.target, self.scale)
            self._tables = {
                key: (lowest_thresholds(*key), margin),
                **dict(list(self._tables.items())[:_TABLES]),
            }
        self._drawn_from = tuple(self._source(window))
        reach = tuple(Reach(*self._tables[key], window.cap))
        tickets.fill(arrivals, self._drawn_from, reach, z, x, self._bound)

    def deepen(
        self,
        window: Window,
        x: NDArray[np.uint8],
        events: NDArray[np.uint64],
        bounds: Bounds,
        tickets: Tickets,
    ) -> int:
        """Draw what responses within their bounds may reach, after `draw` for the same window.
        Returns a bound on all s z."""
        reached = (self._drawn_from, window.cap, x, events, tuple(bounds), self._bound)
        *_, top = tickets.fill(more_arrivals, *reached)
        return int(top)

    # ---------------------------------------------------------------------------------- a race
    def prepare(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], tickets: Tickets
    ) -> None:
        """For `race`: the lowest threshold of every neuron, exactly."""
        self._lowest = np.empty(self.shard.size, np.int64)
        first_tickets(self._source(window), self._lowest)
        self._ticket = 0  # of this rank's last earliest arrival

    def earliest(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], last: int, tickets: Tickets
    ) -> int:
        """The local neurons' earliest arrival after event `last`, as an event word.

        events.NO_EVENT if there is none in this window, 0 if the window must end now.
        """
        word, self._ticket = earliest_arrival(
            self._source(window), self._lowest, window.cap, z, x, np.uint64(last), self._ticket
        )
        return int(word)
