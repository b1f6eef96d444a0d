"""A chain on the CPU: its engine moves it, the recorder gets what belongs to the run."""

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.engines.engine import Engine, Stretch, take_back
from distsim.engines.race import Race
from distsim.engines.relax import Relax
from distsim.engines.timer import Timer
from distsim.engines.walk import Walk
from distsim.engines.windows import Windows
from distsim.kernels.energy import without_lift
from distsim.kernels.states import commit, undoing
from distsim.kernels.window import END_OF_TIME
from distsim.laws.conditions import Conditions
from distsim.laws.opening import open_law
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder
from distsim.weights.dense import DenseColumns
from distsim.weights.fitting import check_memory, sparse_entries
from distsim.weights.shard import Shard, load
from distsim.weights.source import Network
from distsim.weights.sparse import SparseColumns, tile_for
from distsim.weights.storage import HostStorage

_SOLVERS: dict[str, type[Race] | type[Relax]] = {"race": Race, "relax": Relax}


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
        conditions: Conditions,
        kind: type[np.int32] | type[np.int64] | None = None,
    ) -> None:
        """states: of all neurons, uint8[N]; kind: of z, where another network has the say."""
        self.ranks = ranks
        self.timer = Timer()
        bits, entries = config.weight_bits, entries_on_host(network, config, ranks)
        self.engine = _engine(config, ranks)
        check_memory(network, bits, ranks, entries)
        if entries is None:
            self.shard = _load_dense(network, bits, ranks)
        else:
            visits = self.engine == "walk" and config.scan == "sequential"
            self.shard = _load_sparse(network, bits, ranks, entries if visits else 0)
        if kind is None and self.shard.reach + conditions.largest_bias() / self.shard.unit >= 2**30:
            kind = np.int64
        if kind is not None:
            self.shard = replace(self.shard, kind=kind)
        self._engine = self._open_engine(config.energies)
        self._begin(config, states, conditions)

    def another(
        self, config: Config, states: NDArray[np.uint8], conditions: Conditions
    ) -> "HostChain":
        """A chain of the same network, in place of this one: it has its shard and its engine."""
        chain = copy(self)
        chain._begin(config, states, conditions)
        return chain

    def _begin(self, config: Config, states: NDArray[np.uint8], conditions: Conditions) -> None:
        """At the first window."""
        self.config = config
        self.conditions = conditions
        self.initial = states
        self.x = states[self.shard.first : self.shard.first + self.shard.size].copy()
        self.z = self.shard.responses(states)
        self.law = open_law(config, self.shard, self.ranks, conditions)
        self.windows = self.replays = self.applies = 0
        self._left: Position | None = None  # where a run that ended inside a window goes on
        self._quiet = False  # no event in the last window

    def _open_engine(self, energies: bool) -> Engine:
        needs = (self.shard, self.ranks, self.timer, energies)
        if self.engine == "walk":
            return Walk(*needs)
        return Windows(_SOLVERS[self.engine](*needs), self.shard, self.timer)

    @property
    def target(self) -> int:
        return self.law.target

    def go_on(self, position: Position) -> None:
        self.law.clock = position.clock
        self.windows, self.replays = position.windows, position.replays
        self.applies = position.applies

    def advance(self, recorder: Recorder) -> None:
        """A stretch of windows, or what of it belongs to the run. Raises InputError for a run that
        waits for events of a network at rest, on every rank alike."""
        self.timer.start()
        if recorder.limit is not None and (self._quiet or self.now() >= END_OF_TIME):
            self._check_motion()
        course = self.law.course
        course.enter(self.law.clock, self.z)
        until = course.until(END_OF_TIME if recorder.until is None else recorder.until)
        stretch = self._engine.advance(self.law, self.z, self.x, recorder.ahead(), until)
        events, times, doubled, first, *_ = stretch
        if course.lift.size and doubled.size:  # the energy is of the network's own biases
            doubled = without_lift(doubled, events, course.lift)
        kept = recorder.belonging(times)
        self._quiet = events.size == first
        if kept < events.size:  # the run ends here; another would need the whole last window
            take_back(self.shard, events[kept:], self.z, self.x)
            recorder.record(times[:first], events[:first], doubled[:first])
            self._left = self._before(stretch, events[first:kept], recorder)
            times, events, doubled = times[first:kept], events[first:kept], doubled[first:kept]
        recorder.record(times, events, doubled)
        self.windows += stretch.windows
        self.replays += stretch.replays
        self.applies += stretch.applies
        self.timer.stamp("record")

    def _before(self, stretch: Stretch, events: NDArray[Any], recorder: Recorder) -> Position:
        """The start of a stretch's last window, of which these events were made; of those before
        it the recorder has all."""
        x = self.x.copy()
        commit(undoing(events), self.shard.first, x)
        return replace(
            self.position(recorder),
            states=self.ranks.gather(x).copy(),
            clock=stretch.before,
            windows=self.windows + stretch.windows - 1,
        )

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

    def final(self) -> NDArray[np.uint8]:
        return self.ranks.gather(self.x)

    def consistent(self, final: NDArray[np.uint8]) -> bool:
        wanted, lift = self.shard.responses(final), self.law.course.own_lift()
        if lift.size:
            wanted += lift.astype(wanted.dtype)
        equal = bool(np.array_equal(self.z, wanted))
        return self.ranks.minimum(equal) == 1

    def close(self) -> None:
        """Nothing to give back; a chain on GPUs has."""

    def abandon(self) -> None:
        """As `close`."""


def _engine(config: Config, ranks: Communicator) -> str:
    """The engine of a chain on these ranks."""
    if config.engine == "auto":
        return "walk" if ranks.side_by_side() else "relax"
    return config.engine


def entries_on_host(network: Network, config: Config, ranks: Communicator) -> int | None:
    """How many weights a chain holds sparse; None: dense ones (`sparse_entries`)."""
    walks = _engine(config, ranks) == "walk"
    return sparse_entries(config.storage, network, config.weight_bits, ranks, walks=walks)


def _load_dense(network: Network, bits: int, ranks: Communicator) -> Shard[HostStorage]:
    """This rank's rows. There is room for them on all ranks or on none."""
    return load(network, bits, ranks, lambda *shape: agreed(ranks, lambda: DenseColumns(*shape)))


def _load_sparse(
    network: Network, bits: int, ranks: Communicator, entries: int
) -> Shard[HostStorage]:
    """The weights of this rank's rows that are not zero. entries: how many there are on all ranks,
    where tiles serve."""

    def columns(neurons: int, size: int, bits: int) -> SparseColumns:
        here = entries // ranks.size
        return SparseColumns(neurons, size, bits, tile_for(neurons, size, here) if here else None)

    return load(network, bits, ranks, columns, SparseColumns.store_sparse, SparseColumns.make)
