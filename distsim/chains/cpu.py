"""A chain on the CPU: a window at a time, from the law's clock to the recorder."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.engines.engine import Engine
from distsim.engines.race import Race
from distsim.engines.relax import Relax
from distsim.engines.timer import Timer
from distsim.kernels.states import commit
from distsim.kernels.window import END_OF_TIME
from distsim.laws.opening import open_law
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder
from distsim.weights.dense import DenseColumns
from distsim.weights.fitting import check_memory
from distsim.weights.shard import Shard, load
from distsim.weights.source import Network
from distsim.weights.storage import HostStorage

_ENGINES: dict[str, Callable[[Shard[HostStorage], Communicator, Timer, bool], Engine]] = {
    "race": Race,
    "relax": Relax,
}


class HostChain:
    """A network in motion: its shard, law and engine, and the state at a window's start.

    x: uint8[n]; z: int[n], linear responses in weight units with the integer part of the bias.
    """

    place = "cpu"
    exchange: str | None = None

    def __init__(
        self,
        network: Network,
        config: Config,
        ranks: Communicator,
        states: NDArray[np.uint8],
        kind: type[np.int32] | type[np.int64] | None = None,
    ) -> None:
        """states: of all neurons, uint8[N]; kind: of z, where another network has the say."""
        self.config = config
        self.ranks = ranks
        self.timer = Timer()
        check_memory(network.name, network.neurons, config.weight_bits, ranks)
        self.shard = load(
            network,
            config.weight_bits,
            ranks,
            lambda *shape: agreed(ranks, lambda: DenseColumns(*shape)),  # room for the weights
        )
        if kind is not None:
            self.shard = replace(self.shard, kind=kind)
        self.initial = states
        self.x = states[self.shard.first : self.shard.first + self.shard.size].copy()
        self.z = self.shard.responses(states)
        self.law = open_law(config, self.shard, ranks)
        self.engine: Engine = _ENGINES[config.engine](
            self.shard, ranks, self.timer, config.energies
        )
        self.windows = self.replays = self.applies = 0
        self._left: Position | None = None  # where a run that ended inside a window goes on
        self._quiet = False  # no event in the last window

    @property
    def target(self) -> int:
        return self.law.target

    def go_on(self, position: Position) -> None:
        self.law.clock = position.clock
        self.windows, self.replays = position.windows, position.replays
        self.applies = position.applies

    def advance(self, recorder: Recorder) -> None:
        """One window, or what of it belongs to the run. Raises InputError for a run that waits for
        events of a network at rest, on every rank alike."""
        self.timer.start()
        if recorder.limit is not None and (self._quiet or self.now() >= END_OF_TIME):
            self._check_motion()
        window = self.law.open(self.z, self.x)
        self.timer.stamp("open")
        solution = self.engine.solve(self.law, window, self.z, self.x)
        times = self.law.times(window, solution.events)
        kept = recorder.belonging(times)
        events = solution.events[:kept]
        if kept < solution.events.size:  # the run ends here; another would need the whole window
            self._left = self.position(recorder)
        recorder.record(times[:kept], events, solution.doubled[:kept])
        self.timer.stamp("record")
        if kept == solution.events.size:
            self.z[:] = solution.end
        else:
            self.shard.storage.accumulate(events, self.z)
        commit(events, self.shard.first, self.x)
        self.law.close(window, solution.events, early=solution.early)
        self.windows += 1
        self.replays += solution.replays
        self.applies += solution.applies
        self._quiet = solution.events.size == 0
        self.timer.stamp("commit")

    def _check_motion(self) -> None:
        standstill = self.law.standstill(self.z, self.x)
        if standstill is not None:
            raise standstill

    def now(self) -> float:
        return self.law.now()

    def position(self, recorder: Recorder) -> Position:
        if self._left is not None:
            return self._left
        return Position(
            states=self.ranks.gather(self.x).copy(),
            clock=self.law.clock,
            windows=self.windows,
            replays=self.replays,
            applies=self.applies,
            transitions=recorder.transitions,
            last=recorder.last,
            total=recorder.total % 2**64,
        )

    def network_digest(self) -> str:
        return self.shard.digest(self.ranks)

    def connections(self) -> tuple[int, int]:
        return self.shard.connections(self.ranks)

    def final(self) -> NDArray[np.uint8]:
        return self.ranks.gather(self.x)

    def consistent(self, final: NDArray[np.uint8]) -> bool:
        equal = bool(np.array_equal(self.z, self.shard.responses(final)))
        return self.ranks.minimum(equal) == 1

    def close(self) -> None:
        """Nothing to give back; a chain on GPUs has."""

    def abandon(self) -> None:
        """As `close`."""
