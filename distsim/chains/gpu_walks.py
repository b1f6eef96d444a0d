"""Chains of an MPM side by side on a rank's GPU, by whole windows of each: `abreast.Abreast`.

What is left of a chain then is made on the CPU, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.abreast import Pace, Standing, counts_of, held_in
from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.engines.timer import Timer
from distsim.errors import InputError
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import free_unused
from distsim.gpu.walks import Clocks, Walks, at_start
from distsim.kernels.window import END_OF_TIME, Clock, segment_at
from distsim.laws.conditions import Conditions
from distsim.laws.course import Course
from distsim.weights.shard import Shard

_NEVER = (1 << 63) - 1  # transitions


class WalkedChains:
    """Chains of an MPM, each at the start of a window."""

    place, engine = "gpu", "walk"

    def __init__(
        self,
        shard: Shard[DeviceColumns],
        config: Config,
        replicas: NDArray[np.int64],
        starts: Sequence[tuple[NDArray[np.uint8], Conditions]],
        positions: Sequence[Position],
    ) -> None:
        self.shard, self.timer = shard, Timer()
        states, conditions = zip(*starts, strict=True)
        known: dict[int, Course] = {}  # of those that share their temperatures
        for one in conditions:
            if id(one.taus) not in known:
                known[id(one.taus)] = Course(one, shard, 2.0, config.window)
        self._courses = [known[id(one.taus)].times for one in conditions]
        self._segment = np.zeros(replicas.size, np.int64)
        self._clocks = _clocks(positions) if positions else at_start(replicas.size)
        self._pace = Pace()
        self._turn()
        try:
            self._walks = Walks(
                shard.storage,
                bias=shard.bias,
                rest=shard.rest,
                kind=shard.kind,
                spread=shard.spread,
                seed=config.seed,
                replicas=replicas,
                states=np.stack(states),
                scales=self._now("scales"),
                targets=self._now("targets"),
                clocks=self._clocks,
                clamped=held_in(conditions, shard.neurons),
            )
        except ValueError as error:
            raise InputError(
                f"device gpu: {error} given for several chains; allowed: fewer neurons"
            ) from error
        if positions:
            self._walks.go_on(*counts_of(positions))
        self._states: NDArray[np.uint8] | None = None
        self._sound: NDArray[np.bool_] | None = None
        self._look()

    def _now(self, name: str) -> NDArray[Any]:
        """What holds now of each chain's course."""
        return np.array(
            [getattr(one, name)[k] for one, k in zip(self._courses, self._segment, strict=True)]
        )

    def _turn(self) -> bool:
        """Stand where the clocks do in the conditions; whether one had not."""
        before = self._segment.copy()
        for r, one in enumerate(self._courses):
            if one.scales.size > 1:
                now = float(self._clocks.high[r]), float(self._clocks.low[r])
                self._segment[r] = segment_at(one.times, before[r], *now)
        self._change = np.array(
            [one.times[k + 1] for one, k in zip(self._courses, self._segment, strict=True)]
        )
        return bool((before != self._segment).any())

    def _look(self) -> None:
        """What the GPU has made."""
        walks, self._states, self._sound = self._walks, None, None
        self._clocks = walks.clocks()
        self._made = walks.transitions().astype(np.int64)
        self._total, self._last = walks.totals(), walks.last()

    def advance(self, limit: int | None, until: float | None) -> bool:
        """Whole windows, of each chain as many as it may."""
        begin, before = perf_counter(), self._clocks.number
        self.timer.start()
        chains = before.size
        self._walks.advance(
            np.full(chains, _NEVER if limit is None else limit),
            np.full(chains, END_OF_TIME if until is None else until),
            self._change,
            self._pace.count,
        )
        self._look()
        turned = self._turn()
        if turned:
            self._walks.temper(self._now("scales"), self._now("targets"))
        self.timer.stamp("walk")
        windows = int((self._clocks.number - before).max())
        if windows == self._pace.count:
            self._pace.took(perf_counter() - begin, windows)
        return turned or windows > 0

    def transitions(self) -> NDArray[np.int64]:
        return self._made

    def times(self) -> NDArray[np.float64]:
        return self._clocks.high

    def standing(self, r: int) -> Standing:
        number, exponent, high, low, started = (column[r].item() for column in self._clocks)
        clock = Clock(number, high, low, exponent if started else None)
        made = int(self._made[r]), float(self._last[r]), int(self._total[r])
        return Standing(clock, number, *made)

    def states(self, r: int) -> NDArray[np.uint8]:
        if self._states is None:
            self._states = self._walks.states()
        return self._states[r]  # type: ignore[no-any-return]

    def block(self, r: int) -> None:
        """Events stay on the GPU."""

    def consistent(self, r: int, final: NDArray[np.uint8]) -> bool:
        """Whether z == W x + b."""
        if self._sound is None:
            wanted = self.shard.storage.products(self._walks.states()) + self.shard.bias
            self._sound = (self._walks.responses() == wanted).all(axis=1)
        return bool(self._sound[r])

    def close(self) -> None:
        self.consistent(0, self.states(0))  # of all, to be had later too
        self._walks.release()
        self.shard.storage.release()
        free_unused()


def _clocks(positions: Sequence[Position]) -> Clocks:
    clocks = [one.clock for one in positions]
    return Clocks(
        np.array([one.number for one in clocks], np.int64),
        np.array([one.exponent or 0 for one in clocks], np.int64),
        np.array([one.high for one in clocks]),
        np.array([one.low for one in clocks]),
        np.array([one.exponent is not None for one in clocks]),
    )
