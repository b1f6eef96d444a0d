"""One chain, from its opening to its end, part by part: the loop behind `simulate` and `stream`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.chains.opening import as_states, open_chain
from distsim.errors import InputError
from distsim.front.given import Given
from distsim.front.result import Observables
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Collected
from distsim.runs.conditions import settled
from distsim.runs.observing import check_rows, open_observation
from distsim.runs.preparation import length
from distsim.runs.results import Meter, Progress, Summary
from distsim.runs.simulation import windows
from distsim.weights.source import Network


@dataclass(frozen=True, eq=False)
class Part:
    """What happened since the part before.

    time: float64[K], neuron: int64[K], state: uint8[K] (the new states); observables: D samples, as
    in `Result.observables`; transitions, now, fraction: how far the run is, in model time (mpm) or
    steps (bm). The last part alone has the summary, the states at the end, uint8[N], and among its
    observables those of the whole run (moments, best). On several ranks events and observables are
    on the root alone.
    """

    time: NDArray[np.float64]
    neuron: NDArray[np.int64]
    state: NDArray[np.uint8]
    observables: Observables
    transitions: int
    now: float
    fraction: float
    summary: Summary | None = None
    final: NDArray[np.uint8] | None = None

    def __repr__(self) -> str:
        samples = len(self.observables.get("time", ()))
        return (
            f"<distsim.Part {100 * self.fraction:.0f}%: {self.time.size:,} events, "
            f"{samples:,} samples, {self.transitions:,} transitions so far>"
        )


@dataclass(frozen=True)
class Stand:
    """Where a run stands, so that it can go on; observed: of its observables, on the root;
    conditions: their `arrays`, where there are more than one temperature."""

    given: Given
    network: Network
    digest: str  # of the network
    position: Position
    observed: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    conditions: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Session:
    """A chain that is open. Raises InputError on every rank alike.

    ranks: those that take part; stand: of an earlier run to go on with.
    """

    def __init__(self, given: Given, ranks: Communicator, stand: Stand | None = None) -> None:
        self.given = given
        self.ranks = ranks
        self.config = config = given.config
        self.network = network = agreed(ranks, lambda: self._open(stand))
        given.check_alike(ranks)
        limit, until = length(config, network)
        states = given.states if stand is None else stand.position.states
        if states is not None:
            states = as_states("initial", states, network.neurons)
        before = None if stand is None else stand.conditions
        conditions = settled(config, network, ranks, until, given.conditions, before)(0)
        self.chain = chain = open_chain(network, config, ranks, states, conditions)
        try:
            self.digest = chain.network_digest()
            earlier = None if stand is None else stand.observed
            self.observation = open_observation(
                config, network, chain, until, earlier, on_disk=False
            )
            self._collected = Collected()
            sink = self._collected if ranks.rank == 0 and config.events else None
            self.recorder = Recorder(limit, until, sink, self.observation)
            if self.observation is not None:
                self.observation.store = self._collected
            if stand is not None:
                self._go_on(stand)
        except BaseException:
            chain.abandon()
            raise
        self.meter = Meter(chain, self.recorder)
        self.initial = chain.initial
        self._given_out = self.recorder.transitions

    def _open(self, stand: Stand | None) -> Network:
        """The network, checked for this rank's rows."""
        network = self.given.open() if stand is None else stand.network
        check_rows(self.config, network, self.ranks)
        return network

    def _go_on(self, stand: Stand) -> None:
        if self.digest != stand.digest:
            raise InputError(
                f"go_on: network {self.network.name} has other weights or biases than before, "
                f"digest {self.digest} instead of {stand.digest}; allowed: the same network"
            )
        position = stand.position
        self.chain.go_on(position)
        self.recorder.go_on(position.transitions, position.last, position.total)

    def progress(self) -> Progress:
        return self.meter.progress()

    def parts(self, block: int, stop: Callable[[], str | None]) -> Iterator[Part]:
        """The run in parts of `block` events or more, at the ends of windows; at last what is left,
        with the summary. stop: asked after each window, why to end the run there.

        On every rank alike. The chain is closed when it ends, or when the iterator is closed.
        """
        try:
            yield from self._parts(block, stop)
        except GeneratorExit:
            self.chain.close()
            raise
        except BaseException:
            self.chain.abandon()
            raise
        self.chain.close()

    def _parts(self, block: int, stop: Callable[[], str | None]) -> Iterator[Part]:
        chain, recorder, stopped = self.chain, self.recorder, None
        recorder.look = block
        for _ in windows(chain, recorder):
            if recorder.finished(chain.now()):
                break
            stopped = stop()
            if stopped is not None:
                break
            if recorder.transitions - self._given_out >= block:
                recorder.flush()
                yield self._part()
        final = chain.final()
        recorder.end(over=stopped is None)
        chain.ranks.barrier()
        self.meter.stop()
        self.position = chain.position(recorder)
        yield self._part(self.meter.summary(self.network, final, stopped), final)

    def _part(self, summary: Summary | None = None, final: NDArray[np.uint8] | None = None) -> Part:
        agreed(self.ranks, self._check_observation)
        observables = self._rows()
        if summary is not None and self.observation is not None:
            observables |= self.observation.totals()
        time, neuron, state = self._collected.columns()
        self._collected.clear()
        self._given_out = self.recorder.transitions
        now = self.chain.now() if summary is None else summary.time
        return Part(
            time, neuron, state, observables,
            transitions=self._given_out, now=now, fraction=self.recorder.fraction(now),
            summary=summary, final=final,
        )  # fmt: skip

    def _check_observation(self) -> None:
        if self.observation is not None and self.observation.error is not None:
            raise InputError(self.observation.error)

    def _rows(self) -> Observables:
        """Samples since the last part: each dataset, with D rows or none."""
        if self.observation is None:
            return {}
        found = self._collected.rows()
        datasets = self.observation.plan.datasets
        return {
            name: found[name] if name in found else np.empty((0, *row), kind)
            for name, (row, kind) in datasets.items()
        }

    def stand(self) -> Stand:
        """After the last part."""
        observed = {} if self.observation is None else self.observation.state()
        held = self.chain.conditions.kept()
        return Stand(self.given, self.network, self.digest, self.position, observed, held)
