"""The contract of a chain, on any device: a network in motion, advanced to a run's end.

Once it is open, nothing of it is left to load or to compile.

| member | meaning |
|---|---|
| config, ranks, conditions | what it was opened with |
| shard | this rank's part of the network, as integers |
| engine | `walk`, `relax` or `race`; of chains side by side (`abreast`) `layers` |
| place, exchange | `cpu` or `gpu`; how GPUs exchange |
| initial | states of all neurons at the start, uint8[N] |
| target | events a window to aim at |
| windows, replays, applies | counters |
| timer | where the time went; of race on GPUs nothing |
| go_on(position) | stand where an earlier chain stood, before the first `advance` |
| advance(recorder) | one window or more, or what of them belongs to the run; InputError on every |
| | rank alike for a run that waits for events of a network at rest |
| now() | model time or steps at the end of the last window |
| position(recorder) | where it would be resumed, on all ranks: the start of a window |
| final() | states of all neurons, uint8[N], at the end |
| consistent(final) | whether z == W x + b holds exactly on every rank |
| network_digest() | of the weights and biases that are simulated: the same for any ranks |
| close() | gives back what it holds, on all ranks alike |
| abandon() | the same instead of it after an error, as far as it goes without the other ranks |
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.config.options import Config
from distsim.engines.timer import Timer
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder
from distsim.weights.shard import Shard


@dataclass(frozen=True)
class Position:
    """Where a chain stands, at a window's start.

    states: uint8[N]; clock: the law's; windows, replays, applies: counters of the chain;
    transitions, last, total: the recorder's events before, the time of the last, their digest.
    """

    states: NDArray[np.uint8]
    clock: Clock
    windows: int
    replays: int
    applies: int
    transitions: int
    last: float
    total: int


def at_start(states: NDArray[np.uint8]) -> Position:
    """Of a chain that has not begun, in these states, uint8[N]."""
    return Position(states, Clock(), 0, 0, 0, 0, 0.0, 0)


class Seen(Protocol):
    """What a run sees of a chain, whoever moves it."""

    config: Config
    ranks: Communicator
    conditions: Conditions
    exchange: str | None
    initial: NDArray[np.uint8]
    replays: int
    applies: int

    @property
    def shard(self) -> Shard[Any]: ...

    @property
    def engine(self) -> str: ...

    @property
    def place(self) -> str: ...

    @property
    def timer(self) -> Timer: ...

    @property
    def windows(self) -> int: ...

    def now(self) -> float: ...

    def position(self, recorder: Recorder) -> Position: ...

    def final(self) -> NDArray[np.uint8]: ...

    def consistent(self, final: NDArray[np.uint8]) -> bool: ...

    def network_digest(self) -> str: ...


class Chain(Seen, Protocol):
    @property
    def target(self) -> int: ...

    def go_on(self, position: Position) -> None: ...

    def advance(self, recorder: Recorder) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...
