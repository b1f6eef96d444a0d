"""Several chains from Python: a Result whose arrays have a leading axis of chains."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.files import chains
from distsim.files.events import EVENTS
from distsim.front.given import Given
from distsim.front.interrupts import STOPPED, Interrupts
from distsim.front.result import Result
from distsim.kernels import cache
from distsim.ranks.communicator import Communicator
from distsim.ranks.watchdog import Watchdog
from distsim.recording import digest
from distsim.runs import loading
from distsim.runs.crew import Crew
from distsim.runs.many import follow
from distsim.runs.observing import check_rows
from distsim.runs.outcome import EVENTS_OF, ROWS_OF, Outcome
from distsim.runs.preparation import Compilation
from distsim.runs.progress import Display
from distsim.runs.results import Summary
from distsim.weights.source import Network


def chains_of(asked: Given, ranks: Communicator, show: Display | None) -> Result:
    """Run all chains, on all ranks alike, to their ends or to Ctrl-C. Raises InputError."""
    config, compilation = asked.config, Compilation(show)

    def opened(group: Communicator) -> Network:
        network = asked.open()
        check_rows(config, network, group)
        return network

    with ExitStack() as held:
        watchdog = None
        if ranks.size > 1:  # none may wait for ever for one that died
            watch = Watchdog(config.watchdog, ranks, compilation.progress, compilation.doing)
            watchdog = held.enter_context(watch)
        held.enter_context(cache.compiling(compilation))
        with loading.seen(show, config.network, compilation):
            asked.check_alike(ranks)
            crew = Crew(config, ranks, opened, states=asked.states, given=asked.conditions)
        interrupts = held.enter_context(Interrupts(launched=ranks.size > 1))
        if watchdog is not None:
            watchdog.look_at(crew.moves, crew.doing)
        due = crew.due(watchdog, interrupts, monotonic())
        try:
            ended = follow(crew, due, watchdog, [] if show is None else [show])
        finally:
            if show is not None:
                show.clear()
        summary = crew.summary(ended)
    if summary.stopped is not None:
        summary = replace(summary, stopped=STOPPED)
    tempering = crew.tempering() if ranks.rank == 0 and crew.outcomes else {}
    return replace(_result(crew.outcomes, crew.network, summary, asked, ranks), tempering=tempering)


def _result(
    outcomes: Sequence[Outcome],
    network: Network,
    summary: Summary,
    asked: Given,
    ranks: Communicator,
) -> Result:
    """Of the chains that came to their ends; the root has their arrays."""
    whole = [one for one in outcomes if one.over] if ranks.rank == 0 else []

    def joined(name: str, kind: str) -> NDArray[Any]:
        parts = [one.arrays[name] for one in whole if name in one.arrays]
        return np.concatenate([np.empty(0, kind), *parts])

    def stacked(name: str) -> NDArray[Any]:
        return np.stack([one.arrays[name] for one in whole])

    nothing = np.empty((0, network.neurons), np.uint8)
    time, neuron, state = (joined(f"{EVENTS_OF}{name}", kind) for name, kind in EVENTS.items())
    lengths = [one.transitions if asked.config.events else 0 for one in whole]
    names = whole[0].arrays if whole else {}
    return Result(
        time,
        neuron,
        state,
        initial=stacked("initial") if whole else nothing,
        final=stacked("final") if whole else nothing,
        observables={
            name.removeprefix(ROWS_OF): stacked(name) for name in names if name.startswith(ROWS_OF)
        },
        names=network.names,
        config=asked.config.asdict(),
        digest=summary.digest,
        observables_digest=summary.observables_digest,
        rank=ranks.rank,
        ranks=ranks.size,
        partial=summary.stopped is not None,
        population=network.population,
        chain=np.repeat([one.replica for one in whole], lengths).astype(np.int64),
        replicas=tuple(one.replica for one in whole),
        digests=tuple(digest.text(one.total) for one in whole),
        observables_digests=tuple(
            digest.text(one.observed) for one in whole if one.observed is not None
        ),
        _summary=summary,
    )


def chains_in(found: chains.Chains, summary: Summary | None = None) -> Result:
    """Those of a file; summary: of the run that wrote it, if that is known."""
    return Result(
        found.time,
        found.neuron,
        found.state,
        found.initial,
        found.final,
        found.observables,
        found.names,
        found.config,
        digest=found.digest,
        observables_digest=found.observables_digest,
        population=found.population,
        chain=found.chain,
        replicas=tuple(range(len(found.digests))),
        digests=found.digests,
        observables_digests=found.observables_digests,
        tempering=found.tempering,
        _summary=summary,
    )
