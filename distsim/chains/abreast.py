"""The contract of chains that a group of ranks has side by side, and each of them as `Chain` is.

They share W and stand at the end of the same sweep. None of them ends inside a sweep here: what is
left then is made by a chain of its own.

| member | meaning |
|---|---|
| engine, place | `layers`; `cpu` |
| shard, timer | as of a chain |
| sweep | at whose end they stand: so many are done |
| go_on(sweep, counts) | stand there, before the first `advance` |
| advance(sweeps) | so many more |
| counts(r), states(r) | of the r-th: `Counts`; uint8[N] |
| block(r) | its events of the last `advance`, or None where nobody wants them |
| consistent(r, final) | whether what it rested on holds exactly |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.engines.timer import Timer
from distsim.kernels.observe import Block
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder
from distsim.weights.shard import Shard


class Counts(NamedTuple):
    """Of a chain: transitions so far, the time of the last, their part of the digest."""

    transitions: int
    last: float
    total: int


class Abreast(Protocol):
    shard: Shard[Any]
    timer: Timer
    sweep: int

    @property
    def engine(self) -> str: ...

    @property
    def place(self) -> str: ...

    def go_on(self, sweep: int, counts: Sequence[Counts]) -> None: ...

    def advance(self, sweeps: int) -> None: ...

    def counts(self, r: int) -> Counts: ...

    def block(self, r: int) -> Block | None: ...

    def states(self, r: int) -> NDArray[np.uint8]: ...

    def consistent(self, r: int, final: NDArray[np.uint8]) -> bool: ...


@dataclass
class Lane:
    """The r-th of chains side by side, as a run sees it: `chain.Seen`.

    initial: its states at its start, uint8[N]; exponent: its clock's, which stays.
    """

    abreast: Abreast
    r: int
    config: Config
    ranks: Communicator
    conditions: Conditions
    initial: NDArray[np.uint8]
    exponent: int | None
    exchange: str | None = None
    replays: int = 0
    applies: int = 0

    @property
    def engine(self) -> str:
        return self.abreast.engine

    @property
    def place(self) -> str:
        return self.abreast.place

    @property
    def shard(self) -> Shard[Any]:
        return self.abreast.shard

    @property
    def timer(self) -> Timer:
        return self.abreast.timer

    @property
    def windows(self) -> int:
        """Sweeps are its windows."""
        return self.abreast.sweep

    def now(self) -> float:
        return float(self.abreast.sweep * self.shard.neurons)

    def position(self, recorder: Recorder) -> Position:
        step = self.abreast.sweep * self.shard.neurons
        return Position(
            states=self.final(),
            clock=Clock(step, float(step), 0.0, self.exponent),
            windows=self.windows,
            replays=self.replays,
            applies=self.applies,
            transitions=recorder.transitions,
            last=recorder.last,
            total=recorder.total % 2**64,
        )

    def final(self) -> NDArray[np.uint8]:
        return self.abreast.states(self.r)

    def consistent(self, final: NDArray[np.uint8]) -> bool:
        return self.abreast.consistent(self.r, final)

    def network_digest(self) -> str:
        return self.shard.digest(self.ranks)
