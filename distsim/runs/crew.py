"""All groups of ranks that have chains of their own: what they prepare, count, save and write
together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.chains.cpu import entries_on_host
from distsim.chains.opening import as_states, chains_on_gpus, check_kernels, read_states
from distsim.config.options import STREAM, Config, flag
from distsim.errors import InputError, OutputError
from distsim.files.chains import CHAIN, CHAINS, TEMPERING, options_of
from distsim.files.events import CONDITIONS, EVENTS, OBSERVABLES
from distsim.files.places import check_disk, check_writable
from distsim.laws.conditions import Conditions
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator, group_of
from distsim.ranks.watchdog import Watchdog
from distsim.runs import checkpoint
from distsim.runs.checkpoint import Checkpoint, Stand
from distsim.runs.conditions import ladder, settled
from distsim.runs.due import Asked, Due, on_root
from distsim.runs.member import Common
from distsim.runs.observing import plan
from distsim.runs.outcome import EVENTS_OF, ROWS_OF, Outcome, gathered, of_each, summary
from distsim.runs.output import EventFile
from distsim.runs.preparation import (
    check_grid,
    check_same,
    length,
    whereabouts,
)
from distsim.runs.results import Summary
from distsim.runs.row import open_group
from distsim.runs.tables import Given
from distsim.runs.team import Group
from distsim.runs.tempered import Tempered
from distsim.weights.fitting import check_bytes, check_memory
from distsim.weights.source import Network

EVENT = 25  # bytes
COPIES = 3  # of what chains have given: as they gave it, as it is passed on, as it is written
COPIES_SAVED = 5  # and where it is packed for a checkpoint


class State(NamedTuple):
    """How far all groups are: transitions, the longest time, the fraction of all chains, whether
    all are over."""

    transitions: int
    time: float
    fraction: float
    over: bool


class Ended(NamedTuple):
    """How a run ended: after so many seconds, why before its length, at which fraction of it."""

    seconds: float
    stopped: str | None
    fraction: float


class Crew:
    """All groups of ranks, as seen from one of them.

    opened: gives the network, checked for this rank's rows of those that its group has; saved: an
    earlier run to go on with; states: uint8[N] or uint8[R, N], where the configuration does not
    name them; given: conditions that a Python program gave. Raises InputError on every rank alike.
    outcomes: of all chains, after `summary`.
    """

    def __init__(
        self,
        config: Config,
        ranks: Communicator,
        opened: Callable[[Communicator], Network],
        saved: Checkpoint | None = None,
        states: NDArray[Any] | None = None,
        given: Given | None = None,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.ranks = ranks
        self._config = config
        self._looks = 0
        groups = check_grid(config, ranks)
        check_kernels(ranks)
        group = group_of(ranks, ranks.size // groups)
        self.network = network = agreed(ranks, lambda: opened(group))
        agreed(ranks, lambda: check_room(config, network) if ranks.rank == 0 else None)
        replicas = range(ranks.rank // group.size, config.chains, groups)
        stands = {} if saved is None else saved.chains
        if len(stands) < config.chains:
            states = agreed(ranks, lambda: _states(config, network, states))
        until = length(config, network)[1]
        self._conditions = conditions = settled(config, network, ranks, until, given)
        agreed(ranks, lambda: _check_conditions(conditions, stands))
        each = [conditions(replica) for replica in range(config.chains)]
        gpu = chains_on_gpus(config, each, network.neurons, ranks)
        if not gpu:
            here = ranks.here()[1]
            agreed(
                ranks,
                lambda: check_memory(
                    network,
                    config.weight_bits,
                    group,
                    entries_on_host(network, config, group),
                    here,
                ),
            )
        common = Common(network, config, group, states, conditions, ranks.size > 1, gpu)
        self.team = agreed(ranks, lambda: self._open(common, replicas, stands))
        self._digest = self.team.chain.network_digest() if config.checkpoint else ""
        self._where = whereabouts(self.team.chain, ranks)
        agreed(ranks, lambda: self._check_files(saved))

    def _open(self, common: Common, replicas: range, stands: Mapping[int, Stand]) -> Group:
        if self._config.temper is None:
            return open_group(common, replicas, stands)
        return Tempered(common, replicas, stands, self.ranks, ladder(self._config))

    def _check_files(self, saved: Checkpoint | None) -> None:
        """Nothing else is in the way of the files; earlier checkpoints of a new run go."""
        if saved is not None:
            connections = self.team.chain.shard.connections
            check_same(saved, self._digest, self.network, self._config, connections)
        if self.ranks.rank == 0:
            if saved is not None:
                check_own(self._config)
            elif self._config.checkpoint is not None:
                try:
                    checkpoint.remove(self._config.checkpoint)
                except OutputError as error:
                    raise InputError(str(error)) from error

    def due(self, watchdog: Watchdog | None, signals: Asked | None, begun: float) -> Due:
        """What is due between stretches, on all ranks alike."""
        return Due(
            self._config,
            self.ranks,
            lambda: self.team.error is not None,
            group=self.team.alike,
            watchdog=watchdog,
            signals=signals,
            begun=begun,
            transitions=self.state().transitions,
        )

    def moves(self) -> object:
        """For the watchdog: changes as long as windows are made, or decisions."""
        chain = self.team.chain
        return self._looks, chain.config.replica, chain.windows, chain.timer.stamps

    def doing(self) -> str:
        chain = self.team.chain
        return (
            f"after `{chain.timer.phase}` in window {chain.windows} of chain {chain.config.replica}"
        )

    def state(self) -> State:
        """Of all groups; each is counted once, by its root."""
        self._looks += 1
        root = self.team.group.rank == 0
        transitions, chains, time = self.team.done()
        numbers = np.array([chains * root, time], np.float64).view(np.uint64)
        words = np.array([transitions * root, self.team.over, *numbers], np.uint64)
        parts, _, _ = self.ranks.exchange(words, 0)
        counts, over = parts[:, 0], parts[:, 1]
        reals = np.ascontiguousarray(parts[:, 2:4]).view(np.float64)
        return State(
            int(counts.sum()),
            float(reals[:, 1].max()),
            float(reals[:, 0].sum()) / self._config.chains,
            bool(over.all()),
        )

    def fail(self) -> None:
        """Raise what keeps a group from going on, on every rank alike."""
        self.ranks.agree(self.team.error)

    def save(self) -> None:
        """Write a checkpoint, where one is configured. Raises OutputError on every rank alike."""
        path, neurons = self._config.checkpoint, self.network.neurons
        if path is None:
            return
        stands, root = self.team.stands(), self.team.group.rank == 0
        chains = {}
        for replica in range(self._config.chains):
            mine = root and replica in stands
            data = self.ranks.gather(
                np.frombuffer(checkpoint.pack_chain(stands[replica]) if mine else b"", np.uint8)
            )
            if data.size and self.ranks.rank == 0:
                chains[replica] = checkpoint.unpack_chain(data.tobytes(), neurons)
        saved = Checkpoint(self._config.asdict(), self._digest, neurons, chains)
        on_root(self.ranks, lambda: checkpoint.write(path, checkpoint.pack(saved)))

    def summary(self, ended: Ended) -> Summary:
        """Of all chains."""
        team, config = self.team, self._config
        root = team.group.rank == 0
        self.outcomes = gathered(self.ranks, team.outcomes, config.chains, root=root)
        found = summary(
            team.chain, self.ranks, self.network, self.outcomes, config,
            seconds=ended.seconds, stopped=ended.stopped,
        )  # fmt: skip
        return replace(found, tempering=team.told)

    def tempering(self) -> dict[str, NDArray[Any]]:
        """Of chains that swap temperatures, on the root after `summary`: `Group.arrays`."""
        times = self.outcomes[0].arrays.get(f"{ROWS_OF}time")
        if times is not None and self._config.model == "bm":
            times = times * self.network.neurons
        return self.team.arrays(times)

    def write(self, found: Summary) -> None:
        """The output of a run that is over. Raises OutputError on every rank alike."""
        output = self._config.output
        if output is not None and found.stopped is None:
            on_root(self.ranks, lambda: self._write(output, found))

    def _held(self) -> Iterator[tuple[str, Conditions]]:
        """Groups of the file, and the conditions that they are for: of all chains, or of each."""
        each = [self._conditions(replica) for replica in range(self._config.chains)]
        common = len({one.digest() for one in each}) == 1
        for replica, one in enumerate(each[:1] if common else each):
            if not (common and one.plain):
                yield (CONDITIONS if common else f"{CONDITIONS}/{replica}"), one

    def _write(self, path: str, found: Summary) -> None:
        outcomes = self.outcomes

        def stacked(name: str) -> NDArray[Any]:
            return np.stack([one.arrays[name] for one in outcomes])

        known = {"names": self.network.names, "population": self.network.population}
        file = EventFile.begin(
            path, self._config, stacked("initial"), where=self._where, network=known
        )
        try:
            for one in outcomes if self._config.events else ():
                columns = {name: one.arrays[f"{EVENTS_OF}{name}"] for name in EVENTS}
                columns |= dict.fromkeys(CHAIN, np.full(columns["time"].size, one.replica))
                file.append_columns(columns)
            for name in outcomes[0].arrays:
                if name.startswith(ROWS_OF):
                    file.put(OBSERVABLES, {name.removeprefix(ROWS_OF): stacked(name)})
            file.put(CHAINS, of_each(outcomes))
            file.put(TEMPERING, self.tempering())
            for group, held in self._held():
                file.put(group, held.arrays())
            if found.observables_digest is not None:
                file.add({}, found.observables_digest)
            file.finish(stacked("final"), found.digest)
        except BaseException:
            file.discard()
            raise


def _check_conditions(conditions: Callable[[int], Conditions], stands: Mapping[int, Stand]) -> None:
    """Refuse other conditions than those of an earlier run's chains."""
    for replica, stood in stands.items():
        now, before = conditions(replica), stood.conditions
        same = now.plain if not before else Conditions.of(before).digest() == now.digest()
        if not same:
            raise InputError(
                f"conditions: others given for chain {replica} than those of the run that is "
                "resumed; allowed: the same tables, and the same length where a temperature goes "
                "over it"
            )


def _states(
    config: Config, network: Network, states: NDArray[Any] | None
) -> NDArray[np.uint8] | None:
    """The initial states, uint8[N] or uint8[R, N], where they are given or in a file."""
    if states is not None:
        return as_states("initial", states, network.neurons, config.chains)
    if config.initial.endswith(".npy"):
        return read_states(config.initial, network.neurons, config.chains)
    return None


def check_room(config: Config, network: Network) -> None:
    """Refuse more chains than there is room for on the root, which gets what all have given.
    Raises InputError."""
    neurons, (limit, until) = network.neurons, length(config, network)
    each = 2.0 * neurons  # states at the start and the end
    given = f"{config.chains:,} chains of {neurons:,} neurons"
    if config.observe is not None and until is not None:
        what = plan(config, network, 1.0)
        samples = until // (what.every * what.sweep)
        each += samples * what.bytes_a_sample + 8 * what.of.size**2
        given += f" and {samples:,.0f} samples"
    if config.events and limit is not None:
        each += EVENT * limit
        given += f" and {limit:,} transitions"
    wanted = int(config.chains * each)
    copies = COPIES if config.checkpoint is None else COPIES_SAVED
    check_bytes(flag("chains"), given, copies * wanted)
    if config.output is not None:
        check_disk(config.output, given, wanted)


def check_own(config: Config) -> None:
    """Refuse to replace another file than the output of the run that is resumed."""
    path = config.output
    if path is None:
        return
    check_writable(path, overwrite=True)
    if os.path.exists(path) and not config.overwrite:
        options = options_of(path)
        if any(options.get(name) != getattr(config, name) for name in STREAM):
            raise InputError(
                f"output {path}: exists, and is not that of the run that is resumed; allowed: its "
                "output, or a new file"
            )
