"""What a run says of itself: while it runs and at its end."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Chain
from distsim.recording import digest
from distsim.recording.observation import Observation
from distsim.recording.recorder import Recorder
from distsim.weights.source import Network


@dataclass(frozen=True)
class Progress:
    """How far a run is: transitions and model time so far, fraction of its length, seconds.

    before, resumed: transitions and fraction with which these seconds began.
    """

    transitions: int
    time: float
    fraction: float
    seconds: float
    before: int = 0
    resumed: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What a run was and did; `consistent`: z == W x held exactly at its end.

    connections: weights that are not zero as simulated; unconnected: neurons that have none;
    named: whether neurons have names besides their numbers; populations: how many they are of;
    notes: how the network was read. seconds and rates: of the loop over
    windows, of a resumed run since then. stopped: why it ended before its length was reached;
    checkpoint: the file from which it can go on. samples and what follows: of observables
    (`recording.observation.Scalars`), on the root of a run that has them.

    Of several chains: transitions, windows, replays, applies and rates are of all together, time
    and steps of the longest, observables means over them, and the best of all; each: what each is.
    """

    model: str
    network: str
    neurons: int
    connections: int
    unconnected: int
    named: bool
    tau: float | str
    seed: int
    engine: str
    device: str
    ranks: int
    transitions: int
    time: float
    steps: int | None
    seconds: float
    transitions_per_second: float
    steps_per_second: float | None
    windows: int
    replays: int
    applies: int
    consistent: bool
    digest: str
    exchange: str | None = None  # between GPUs
    storage: str = "dense"
    bytes_of_weights: int = 0  # on the root
    phases: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None
    checkpoint: str | None = None
    samples: int | None = None
    energy: float | None = None
    best_energy: float | None = None
    cut: float | None = None
    best_cut: float | None = None
    activity: float | None = None
    rate: float | None = None
    observables_digest: str | None = None
    conditions: dict[str, int] | None = None
    tempering: dict[str, Any] | None = None
    populations: int = 0
    notes: list[str] = field(default_factory=list)
    chains: int = 1
    each: list[dict[str, Any]] = field(default_factory=list)


class Meter:
    """Measures a run from now on: what it had done before, and what it took."""

    def __init__(self, chain: Chain, recorder: Recorder) -> None:
        self._chain = chain
        self._recorder = recorder
        self._before, self._since = recorder.transitions, chain.now()
        self._resumed = recorder.fraction(self._since)
        self._begin = self._end = perf_counter()

    def progress(self) -> Progress:
        now = self._chain.now()
        return Progress(
            transitions=self._recorder.transitions,
            time=now,
            fraction=self._recorder.fraction(now),
            seconds=perf_counter() - self._begin,
            before=self._before,
            resumed=self._resumed,
        )

    def stop(self) -> None:
        """What comes is no part of the rates."""
        self._end = perf_counter()

    def summary(
        self, network: Network, final: NDArray[np.uint8], stopped: str | None = None
    ) -> Summary:
        """final: the states at the end, uint8[N]; stopped: why the run ended early."""
        chain, recorder = self._chain, self._recorder
        config = chain.config
        end = recorder.last if recorder.until is None else recorder.until
        if stopped is not None:
            end = chain.now()
        steps = int(end) if config.model == "bm" else None
        seconds = self._end - self._begin
        return Summary(
            model=config.model,
            network=network.name,
            neurons=network.neurons,
            connections=chain.shard.connections,
            unconnected=chain.shard.unconnected,
            named=network.names is not None,
            tau=config.tau,
            seed=config.seed,
            engine=chain.engine,
            device=chain.place,
            exchange=chain.exchange,
            ranks=chain.ranks.size,
            transitions=recorder.transitions,
            time=end,
            steps=steps,
            seconds=seconds,
            transitions_per_second=(recorder.transitions - self._before) / seconds,
            steps_per_second=None if steps is None else (steps - self._since) / seconds,
            windows=chain.windows,
            replays=chain.replays,
            applies=chain.applies,
            consistent=chain.consistent(final),
            digest=digest.text(recorder.total + digest.of_state(final)),
            storage=chain.shard.storage.name,
            bytes_of_weights=chain.shard.storage.bytes,
            phases=chain.timer.phases,
            stopped=stopped,
            checkpoint=config.checkpoint,
            populations=len(set(network.population or ())),
            notes=list(network.notes),
            conditions=chain.conditions.counts(),
            **_observed(recorder.observation),
        )


def _observed(observation: Observation | None) -> dict[str, Any]:
    if observation is None:
        return {}
    return {
        "samples": observation.samples,
        **observation.scalars()._asdict(),
        "observables_digest": observation.digest(),
    }
