"""One run, from configuration to summary: the loop over windows. Read this first.

network file -> network -> (partition) -> shard
per window:  open -> solve (draw, replay, exchange, apply) -> record -> commit -> close
-> recorder -> output file
"""

import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim import digest, partition
from distsim.boltzmann import Boltzmann
from distsim.communicator import Communicator, Serial, agreed
from distsim.config import Config, check_output
from distsim.errors import InputError
from distsim.kernels import cpu
from distsim.mcculloch_pitts import McCullochPitts
from distsim.network import Network, check_model, from_array, open_network
from distsim.output import EventFile, OutputError
from distsim.race import Race
from distsim.recorder import Memory, Recorder
from distsim.relax import Relax
from distsim.shard import Shard, load
from distsim.timer import Timer


@dataclass(frozen=True)
class Progress:
    """How far a run is: transitions and model time so far, fraction of its length, seconds."""

    transitions: int
    time: float
    fraction: float
    seconds: float


@dataclass(frozen=True)
class Summary:
    """What a run was and did; `consistent`: z == W x held exactly at its end."""

    model: str
    network: str
    neurons: int
    tau: float
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
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A run from Python: time float64[K], neuron int64[K], state uint8[K] (the new states),
    initial and final uint8[N], and the summary."""

    time: NDArray[np.float64]
    neuron: NDArray[np.int64]
    state: NDArray[np.uint8]
    initial: NDArray[np.uint8]
    final: NDArray[np.uint8]
    summary: Summary

    @property
    def digest(self) -> str:
        return self.summary.digest


class Chain:
    """A network in motion: its shard, law and engine, and the state at a window's start.

    x: uint8[n]; z: int[n], linear responses in weight units with the integer part of the bias.
    """

    def __init__(self, network: Network, config: Config, ranks: Communicator) -> None:
        self.config = config
        self.ranks = ranks
        self.timer = Timer()
        self.shard: Shard = load(network, config.weight_bits, ranks, cpu)
        self.initial = _initial(config, network.neurons, ranks)
        stop = self.shard.first + self.shard.size
        self.x = self.initial[self.shard.first : stop].copy()
        self.z = self._responses(self.initial)
        self.law: McCullochPitts | Boltzmann
        if config.model == "mpm":
            self.law = McCullochPitts(self.shard, config.tau, config.seed, config.window, ranks)
        else:
            assert config.scan is not None
            self.law = Boltzmann(
                self.shard, config.tau, config.seed, config.window, ranks, config.scan
            )
        engine = Relax if config.engine == "relax" else Race
        self.engine = engine(self.shard, ranks, self.timer)
        self.windows = self.replays = self.applies = 0

    def advance(self, recorder: Recorder) -> None:
        """One window, or what of it belongs to the run."""
        self.timer.start()
        window = self.law.open(self.z, self.x)
        self.timer.stamp("open")
        solution = self.engine.solve(self.law, window, self.z, self.x)
        times = self.law.times(window, solution.events)
        kept = recorder.keep(times)
        events = solution.events[:kept]
        recorder.record(times[:kept], events)
        self.timer.stamp("record")
        if kept == solution.events.size:
            self.z[:] = solution.end
        else:
            cpu.accumulate(self.shard.weights, events, self.z)
        cpu.commit(events, self.shard.first, self.x)
        self.law.close(window, solution.events, early=solution.early)
        self.windows += 1
        self.replays += solution.replays
        self.applies += solution.applies
        self.timer.stamp("commit")

    def final(self) -> NDArray[np.uint8]:
        """The state of all neurons, uint8[N]."""
        return self.ranks.gather(self.x)

    def consistent(self, final: NDArray[np.uint8]) -> bool:
        """Whether z == W x + b holds exactly on every rank."""
        equal = bool(np.array_equal(self.z, self._responses(final)))
        return self.ranks.minimum(equal) == 1

    def _responses(self, states: NDArray[np.uint8]) -> NDArray[Any]:
        z = self.shard.bias.astype(self.shard.kind)
        cpu.multiply(self.shard.weights, states, z)
        return z


def run(
    config: Config, ranks: Communicator, report: Callable[[Progress], None] | None = None
) -> Summary:
    """Run one chain on all ranks, with its output file.

    `report` is called on the root, again and again. Raises InputError on every rank alike for
    what cannot be done as asked, before anything is written.
    """
    network = agreed(ranks, lambda: _open(config, ranks))
    chain = Chain(network, config, ranks)
    file = agreed(ranks, lambda: _create(config, ranks, chain.initial))
    try:
        summary, final = _drive(chain, network, Recorder(*_length(config, network), file), report)
        if file is not None:
            file.finish(final, summary.digest)
    except BaseException:
        if file is not None:
            file.discard()
        raise
    return summary


def simulate(network: Any, *, bias: Any = None, **options: Any) -> Result:
    """Run one chain on this process and return its events as arrays.

    network: weights W[N, N] (W[i, j] onto i from j) as a NumPy array or scipy.sparse matrix, or
    the name or file of a network as on the command line; bias: float64[N] beside an array, or a
    file beside a name; options: the fields of `Config`. Raises InputError for what cannot be done
    as asked.
    """
    if isinstance(network, str | Path):
        config = Config(network=str(network), bias=bias, **options)
        source = open_network(config)
    else:
        config = Config(network="array", **options)
        source = from_array(network, bias)
    check_model(source, config.model, 0, source.neurons)
    chain = Chain(source, config, Serial())
    memory = Memory()
    summary, final = _drive(chain, source, Recorder(*_length(config, source), memory), None)
    time, neuron, state = (np.concatenate(column) for column in zip(*memory.blocks, strict=True))
    return Result(time, neuron, state, chain.initial, final, summary)


def _drive(
    chain: Chain, network: Network, recorder: Recorder, report: Callable[[Progress], None] | None
) -> tuple[Summary, NDArray[np.uint8]]:
    """The loop over windows, from the chain's state to the recorder's end."""
    config, law = chain.config, chain.law
    begin = clock.perf_counter()
    while not recorder.finished(law.now()):
        chain.advance(recorder)
        if report is not None and chain.ranks.rank == 0:
            seconds = clock.perf_counter() - begin
            fraction = recorder.fraction(law.now())
            report(Progress(recorder.transitions, law.now(), fraction, seconds))
    recorder.flush()
    chain.ranks.barrier()
    seconds = clock.perf_counter() - begin

    final = chain.final()
    end = recorder.last if recorder.until is None else recorder.until
    steps = int(end) if config.model == "bm" else None
    summary = Summary(
        model=config.model,
        network=network.name,
        neurons=network.neurons,
        tau=config.tau,
        seed=config.seed,
        engine=config.engine,
        device="cpu",
        ranks=chain.ranks.size,
        transitions=recorder.transitions,
        time=end,
        steps=steps,
        seconds=seconds,
        transitions_per_second=recorder.transitions / seconds,
        steps_per_second=None if steps is None else steps / seconds,
        windows=chain.windows,
        replays=chain.replays,
        applies=chain.applies,
        consistent=chain.consistent(final),
        digest=digest.text(recorder.total + digest.of_state(final)),
        phases=chain.timer.phases,
    )
    return summary, final


def _length(config: Config, network: Network) -> tuple[int | None, float | None]:
    """The run's length: (transitions, end in time or steps)."""
    if config.sweeps is not None:
        return None, float(config.sweeps * network.neurons)
    return config.transitions, config.time if config.steps is None else float(config.steps)


def _create(config: Config, ranks: Communicator, initial: NDArray[np.uint8]) -> EventFile | None:
    """The output file, on the root."""
    if config.output is None or ranks.rank != 0:
        return None
    try:
        return EventFile(config.output, config, initial)
    except OutputError as error:
        raise InputError(str(error)) from error


def _open(config: Config, ranks: Communicator) -> Network:
    """The network, checked for this rank's rows; the output's place."""
    if ranks.rank == 0:
        check_output(config)
    network = open_network(config)
    check_model(
        network,
        config.model,
        partition.start(ranks.rank, network.neurons, ranks.size),
        partition.start(ranks.rank + 1, network.neurons, ranks.size),
    )
    return network


def _initial(config: Config, neurons: int, ranks: Communicator) -> NDArray[np.uint8]:
    """The state of all neurons at the start, uint8[N]."""
    states = np.zeros(neurons, np.uint8)
    if config.initial == "ones":
        states[:] = 1
    elif config.initial == "random":
        cpu.random_states(np.uint64(config.seed), 0, states)
    elif config.initial != "zeros":
        states = agreed(ranks, lambda: _read_states(config.initial, neurons))
    return states


def _read_states(path: str, neurons: int) -> NDArray[np.uint8]:
    try:
        states = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"initial states {path}: {error}") from error
    if states.shape != (neurons,) or not np.isin(states, (0, 1)).all():
        raise InputError(
            f"initial states {path}: shape {states.shape}, type {states.dtype}; "
            f"allowed: {neurons} numbers, one a neuron, each 0 or 1"
        )
    result: NDArray[np.uint8] = states.astype(np.uint8)
    return result
