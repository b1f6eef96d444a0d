"""The contract of chains that a rank has side by side, and each of them as a run sees it.

They share W; none of them ends while they are here: what is left then is made by a chain of its
own.

| member | meaning |
|---|---|
| engine, place | `layers`, `resident`, `blocks` or `walk`; `cpu` or `gpu` |
| shard, timer | as of a chain |
| advance(limit, until) | some sweeps or windows in which chains do not end, by their number of |
| | transitions or their time; whether there were any |
| transitions(), times() | int64[R], float64[R], of all |
| standing(r), states(r) | where the r-th stands: `Standing`; uint8[N] |
| block(r) | its events of the last `advance`, or None where nobody wants them |
| consistent(r, final) | whether what it rests on holds exactly |
| close() | gives back what it holds |
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

_SECONDS = 0.05  # of an `advance`: signals, checkpoints and reports wait for it


class Standing(NamedTuple):
    """Where a chain stands: its clock and how many windows, or sweeps, it had; transitions so far,
    the time of the last, their part of the digest."""

    clock: Clock
    windows: int
    transitions: int
    last: float
    total: int


class Abreast(Protocol):
    shard: Shard[Any]
    timer: Timer

    @property
    def engine(self) -> str: ...

    @property
    def place(self) -> str: ...

    def advance(self, limit: int | None, until: float | None) -> bool: ...

    def transitions(self) -> NDArray[np.int64]: ...

    def times(self) -> NDArray[np.float64]: ...

    def standing(self, r: int) -> Standing: ...

    def states(self, r: int) -> NDArray[np.uint8]: ...

    def block(self, r: int) -> Block | None: ...

    def consistent(self, r: int, final: NDArray[np.uint8]) -> bool: ...

    def close(self) -> None: ...


class Pace:
    """How much an `advance` may do, by how long the last one took."""

    def __init__(self) -> None:
        self.count = 1

    def took(self, seconds: float, count: int) -> None:
        """For so many sweeps or windows."""
        pace = min(max(_SECONDS / max(seconds, 1e-6), 0.25), 4.0)
        self.count = max(1, int(count * pace))


class Heats:
    """T of chains of a BM in weight units, sweep by sweep."""

    def __init__(self, conditions: Sequence[Conditions], shard: Shard[Any]) -> None:
        self._neurons, self._unit = shard.neurons, shard.unit
        self._constant = np.array([one.taus[0] for one in conditions]) / shard.unit
        self._changing: dict[int, tuple[Conditions, list[int]]] = {}  # those of one schedule
        for r, one in enumerate(conditions):
            if one.taus.size > 1:
                self._changing.setdefault(id(one.taus), (one, []))[1].append(r)

    def of(self, sweep: int, sweeps: int) -> NDArray[np.float64]:
        """float64[S, R], from that sweep on."""
        found = np.empty((sweeps, self._constant.size))
        found[:] = self._constant
        begins = np.arange(sweep, sweep + sweeps) * float(self._neurons)
        for one, which in self._changing.values():
            now = np.searchsorted(one.times, begins, side="right") - 1
            found[:, which] = (one.taus[now] / self._unit)[:, None]
        return found


@dataclass
class Lane:
    """The r-th of chains side by side, as a run sees it: `chain.Seen`.

    initial: its states at its start, uint8[N].
    """

    abreast: Abreast
    r: int
    config: Config
    ranks: Communicator
    conditions: Conditions
    initial: NDArray[np.uint8]
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
        return self.abreast.standing(self.r).windows

    def now(self) -> float:
        return self.abreast.standing(self.r).clock.high

    def position(self, recorder: Recorder) -> Position:
        standing = self.abreast.standing(self.r)
        return Position(
            states=self.final(),
            clock=standing.clock,
            windows=standing.windows,
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


def held_in(conditions: Sequence[Conditions], neurons: int) -> NDArray[np.bool_] | None:
    """Which neurons of each chain are clamped, bool[R, N]; None: none."""
    held = np.zeros((len(conditions), neurons), np.bool_)
    for mine, one in zip(held, conditions, strict=True):
        mine[one.clamped] = True
    return held if held.any() else None


def counts_of(
    positions: Sequence[Position],
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float64]]:
    """Transitions, their part of the digest, the time of the last, of each chain."""
    made = np.array([one.transitions for one in positions], np.int64)
    total = np.array([one.total for one in positions], np.uint64)
    return made, total, np.array([one.last for one in positions], np.float64)
