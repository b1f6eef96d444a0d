"""Several chains that share W, dealt to groups of ranks: the loop over windows of all of them.

    ranks of the run -> groups of M ranks, each with all of W, a shard a rank
    replicas 0 .. R - 1 -> group r modulo their number; a group makes its own one after the other
    per stretch: a window or more of a group's chain                             `team`
    about twice a second: all groups decide alike, are counted, are saved        `due`
    -> at the end all that the chains have given comes to the root: output, summary  `outcome`

Groups exchange nothing in between. A group that has made its chains waits for the others there
where all decide, so that signals, clocks, checkpoints and errors reach all alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.chains.opening import check_kernels
from distsim.config.options import STREAM, Config, flag
from distsim.errors import InputError, OutputError
from distsim.files.chains import CHAIN, CHAINS, options_of
from distsim.files.events import EVENTS, OBSERVABLES
from distsim.files.places import check_disk, check_writable
from distsim.kernels import cache
from distsim.ranks.agreement import Wish, agreed
from distsim.ranks.communicator import Communicator, group_of
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.runs import checkpoint, loading
from distsim.runs.checkpoint import Checkpoint
from distsim.runs.due import Due, on_root, way_on
from distsim.runs.observing import plan
from distsim.runs.outcome import EVENTS_OF, ROWS_OF, Outcome, gathered, of_each, summary
from distsim.runs.output import EventFile
from distsim.runs.preparation import (
    Compilation,
    check_grid,
    check_same,
    claimed,
    length,
    open_checked,
    watched,
    whereabouts,
)
from distsim.runs.progress import Display
from distsim.runs.progress_file import ProgressFile
from distsim.runs.results import Progress, Summary
from distsim.runs.same_inputs import check_alike
from distsim.runs.team import Team
from distsim.weights.fitting import check_bytes, check_memory
from distsim.weights.source import Network

EVENT = 25  # bytes
COPIES = 3  # of what chains have given: as they gave it, as it is passed on, as it is written


class State(NamedTuple):
    """How far all groups are: transitions, the longest time, the fraction of all chains, whether
    all are over."""

    transitions: int
    time: float
    fraction: float
    over: bool


def run(
    config: Config,
    ranks: Communicator,
    show: Display | None,
    signals: Signals | None,
    saved: Checkpoint | None,
) -> Summary:
    """`simulation.run` of several chains."""
    begun = monotonic()
    compilation = Compilation(show)
    with (
        Watchdog(config.watchdog, ranks, compilation.progress, compilation.doing) as watchdog,
        claimed(config, ranks, saved),
        cache.compiling(compilation),
    ):
        with loading.seen(show, config.network, compilation):
            crew = Crew(config, ranks, saved)
        watchdog.look_at(crew.moves, crew.doing)
        due = Due(
            config,
            ranks,
            lambda: crew.team.error is not None,
            group=crew.team.group,
            watchdog=watchdog,
            signals=signals,
            begun=begun,
            transitions=crew.state().transitions,
        )
        try:
            with watched(config, ranks, saved, None, show) as lines:
                return _run(crew, due, watchdog, show, lines)
        except OutputError as error:
            raise OutputError(f"{error}{way_on(config)}") from error


def _run(
    crew: Crew,
    due: Due,
    watchdog: Watchdog,
    show: Display | None,
    lines: ProgressFile | None,
) -> Summary:
    """A run that is prepared, from its first window to its files."""
    tellers = [one for one in (show, lines) if one is not None]
    state = first = crew.state()
    begin = perf_counter()
    stopped = None
    while True:
        if not crew.team.over:
            crew.team.advance()
            if not due.decisions.due() and not crew.team.over:
                continue
        decision = due.decisions.decide(due.wish)
        state = crew.state()
        if decision.wish == Wish.FAIL:
            crew.fail()
        if state.over:
            break
        if decision.wish == Wish.STOP:
            stopped = due.reason(decision)
            break
        if decision.wish == Wish.SAVE or (due.saves and due.schedule.due(state.transitions)):
            watchdog.wait_long()  # a disk may take its time
            crew.save()
            due.schedule.saved(state.transitions)
        progress = Progress(
            state.transitions,
            state.time,
            state.fraction,
            perf_counter() - begin,
            first.transitions,
            first.fraction,
        )
        for tell in tellers:
            tell(progress)
    crew.team.leave()
    crew.ranks.barrier()
    seconds = perf_counter() - begin
    watchdog.wait_long()
    crew.fail()  # of what was seen last
    crew.save()
    found = crew.end(seconds, stopped)
    if lines is not None:
        lines.end(found, state.fraction)
    return found


class Crew:
    """All groups of ranks, as seen from one of them. Raises InputError on every rank alike."""

    def __init__(self, config: Config, ranks: Communicator, saved: Checkpoint | None) -> None:
        self.ranks = ranks
        self._config = config
        self._looks = 0
        check_alike(config, ranks)
        groups = check_grid(config, ranks)
        check_kernels(ranks)
        group = group_of(ranks, ranks.size // groups)
        self._network = network = agreed(ranks, lambda: open_checked(config, ranks, saved, group))
        here = ranks.here()[1]
        agreed(ranks, lambda: check_room(config, network) if ranks.rank == 0 else None)
        agreed(
            ranks,
            lambda: check_memory(network.name, network.neurons, config.weight_bits, group, here),
        )
        replicas = range(ranks.rank // group.size, config.chains, groups)
        stands = {} if saved is None else saved.chains
        self.team = agreed(ranks, lambda: Team(network, config, group, replicas, stands))
        self._digest = self.team.chain.network_digest() if config.checkpoint else ""
        self._where = whereabouts(self.team.chain, ranks)
        agreed(ranks, lambda: self._check_files(saved))

    def _check_files(self, saved: Checkpoint | None) -> None:
        """Nothing else is in the way of the files; earlier checkpoints of a new run go."""
        if saved is not None:
            check_same(saved, self._digest, self._network, self._config)
        if self.ranks.rank == 0:
            if saved is not None:
                check_own(self._config)
            elif self._config.checkpoint is not None:
                try:
                    checkpoint.remove(self._config.checkpoint)
                except OutputError as error:
                    raise InputError(str(error)) from error

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
        path, neurons = self._config.checkpoint, self._network.neurons
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

    def end(self, seconds: float, stopped: str | None) -> Summary:
        """The summary; the output of a run that is over. Raises OutputError on every rank alike."""
        team, config = self.team, self._config
        outcomes = gathered(self.ranks, team.outcomes, config.chains, root=team.group.rank == 0)
        found = summary(
            team.chain, self.ranks, self._network, outcomes, config,
            seconds=seconds, stopped=stopped,
        )  # fmt: skip
        if config.output is not None and stopped is None:
            output = config.output
            on_root(self.ranks, lambda: self._write(output, outcomes, found))
        return found

    def _write(self, path: str, outcomes: Sequence[Outcome], found: Summary) -> None:
        """The output file, on the root."""

        def stacked(name: str) -> NDArray[Any]:
            return np.stack([one.arrays[name] for one in outcomes])

        known = {"names": self._network.names, "population": self._network.population}
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
            if found.observables_digest is not None:
                file.add({}, found.observables_digest)
            file.finish(stacked("final"), found.digest)
        except BaseException:
            file.discard()
            raise


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
    check_bytes(flag("chains"), given, COPIES * wanted)
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
