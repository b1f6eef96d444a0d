"""A chain's conditions on one rank, in weight units, and where in them it stands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.kernels.window import Clock, segment_at
from distsim.kernels.window import Course as Times
from distsim.laws.conditions import Conditions
from distsim.laws.window import target_events
from distsim.weights.shard import Shard


def within(span: tuple[float, float], clock: Clock) -> bool:
    """Whether the clock stands in [start, end), in plain Python: once or twice a window."""
    start, end = span
    return (start - clock.high) - clock.low <= 0.0 < (end - clock.high) - clock.low


class Course:
    """What holds now, and until when.

    scale: the present temperature in weight units, 2 tau (MPM) or T (BM); target: events a window
    that are aimed at now; times: the temperatures, as the compiled loops take them, with a change
    wherever a bias changes; clamped: int64[c], the local neurons that stay as they are, rising;
    held: bool[n], the same; rest: float64[n], in [-1, 1], of the present biases; lift: int64[N], by
    how much z is more than W x and the network's own biases; int64[0] without a stimulus.
    """

    def __init__(
        self, conditions: Conditions, shard: Shard[Any], factor: float, target: int | None
    ) -> None:
        """factor: of tau in the scale of thresholds; target: events a window, where it is given.

        Raises InputError for biases beyond exact sums, on every rank alike.
        """
        self._shard = shard
        self._given = conditions
        changes = np.union1d(conditions.times, conditions.turns)
        taus = conditions.taus[np.searchsorted(conditions.times, changes, side="right") - 1]
        self._swap = math.inf  # the end of a round of tempering
        self._factor, self._target = factor, target
        self.times = self._times(changes, taus)
        self._stand(0)
        local = conditions.clamped - shard.first
        self.clamped = local[(local >= 0) & (local < shard.size)]
        self.held = np.zeros(shard.size, np.bool_)
        self.held[self.clamped] = True
        self.rest = shard.rest.copy() if conditions.turns.size else shard.rest
        self.lift = np.zeros(shard.neurons if conditions.turns.size else 0, np.int64)
        # From the turn whose biases hold in z to the next one.
        self._entered = (
            -math.inf,
            float(conditions.turns[0]) if conditions.turns.size else math.inf,
        )
        most = conditions.largest_bias()
        if not shard.reach + most / shard.unit < 2.0**61:
            raise InputError(
                f"stimulus: {most:.3g} given in all; allowed beside these weights, for exact sums: "
                f"less than {(2.0**61 - shard.reach) * shard.unit:.3g}"
            )

    # ------------------------------------------------------------------------------ temperatures
    def temper(self, tau: float, until: float) -> None:
        """Have this temperature now, and a stretch end at that time, when it may change."""
        self.times = self._times(np.array([0.0, until]), np.array([tau, tau]))
        self._stand(0)
        self._swap = until

    def _times(self, changes: NDArray[np.float64], taus: NDArray[np.float64]) -> Times:
        shard, given = self._shard, self._target
        matrix = shard.neurons, shard.connections, shard.strength
        targets = [given or target_events(*matrix, tau) for tau in taus]
        scales = self._factor * taus / shard.unit
        return Times(np.append(changes, math.inf), scales, np.array(targets, np.int64))

    def follow(self, clock: Clock) -> float:
        """Stand where the clock does. Returns the time of the next change; inf if none is to come.

        A clock goes forward, but for a chain that goes on from somewhere.
        """
        if not within(self._span, clock):
            self._stand(segment_at(self.times.times, 0, clock.high, clock.low))
        return self._span[1]

    def _stand(self, segment: int) -> None:
        self._span = float(self.times.times[segment]), float(self.times.times[segment + 1])
        self.scale = float(self.times.scales[segment])
        self.target = int(self.times.targets[segment])

    # ------------------------------------------------------------------------------------ biases
    def enter(self, clock: Clock, z: NDArray[Any]) -> None:
        """Have z: int[n], in place, and the rests take the biases that hold now."""
        if within(self._entered, clock):
            return
        turns, shard = self._given.turns, self._shard
        passed = np.count_nonzero((turns - clock.high) - clock.low <= 0.0)
        turn = float(turns[passed - 1]) if passed else -math.inf
        self._entered = turn, float(turns[passed]) if passed < turns.size else math.inf
        neurons, _ = self._given.driven
        added = self._given.added(turn) / shard.unit
        lift = np.rint(added)
        own = (neurons >= shard.first) & (neurons < shard.first + shard.size)
        local = neurons[own] - shard.first
        z[local] += (lift - self.lift[neurons])[own].astype(z.dtype)
        self.rest[local] = shard.rest[local] + (added - lift)[own]
        self.lift[neurons] = lift

    def until(self, time: float) -> float:
        """This time, or what comes before it: the next change of biases, or of a temperature that
        is not known yet."""
        return min(time, self._swap, self._entered[1])

    def own_lift(self) -> NDArray[np.int64]:
        """`lift` of the local neurons, int64[n]; int64[0] without a stimulus."""
        return self.lift[self._shard.first : self._shard.first + self._shard.size]
