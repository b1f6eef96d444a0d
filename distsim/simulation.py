"""One run, from configuration to summary: the loop over windows. Read this first.

network file -> network -> (partition) -> shard
per window:  open -> solve (draw, replay, exchange, apply) -> record -> commit -> close
-> recorder -> output file;  keeper -> checkpoint, and the decision to stop
"""

import importlib.util
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distsim import digest, partition
from distsim.arrayfile import ArrayFile
from distsim.boltzmann import Boltzmann
from distsim.checkpoint import Checkpoint, Position, remove
from distsim.communicator import Communicator, Serial, agreed
from distsim.config import DETAILS, LENGTHS, Config, check_output, flag
from distsim.errors import InputError, OutputError
from distsim.keeper import Keeper
from distsim.kernels import cpu
from distsim.likeness import check_alike
from distsim.mcculloch_pitts import McCullochPitts
from distsim.network import Network, check_model, from_array, open_network
from distsim.output import EventFile
from distsim.race import Race
from distsim.recorder import Guarded, Memory, Recorder
from distsim.relax import Relax
from distsim.shard import Shard, load, network_digest
from distsim.stop import Signals
from distsim.timer import Timer
from distsim.watchdog import Watchdog

if TYPE_CHECKING:
    from distsim.device import DeviceChain


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

    Of a resumed run, seconds and rates are those since then. stopped: why it ended before its
    length was reached; checkpoint: the file from which it can go on.
    """

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
    exchange: str | None = None  # between GPUs
    phases: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None
    checkpoint: str | None = None


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

    x: uint8[n]; z: int[n], linear responses in weight units with the integer part of the bias;
    target: events a window to aim at; left: where a run that ended inside a window is to be
    resumed.
    """

    place = "cpu"
    exchange: str | None = None

    def __init__(
        self,
        network: Network,
        config: Config,
        ranks: Communicator,
        states: NDArray[np.uint8],
    ) -> None:
        """`states`: of all neurons, uint8[N]."""
        self.config = config
        self.ranks = ranks
        self.timer = Timer()
        self.shard: Shard = load(network, config.weight_bits, ranks, cpu)
        self.initial = states
        stop = self.shard.first + self.shard.size
        self.x = states[self.shard.first : stop].copy()
        self.z = self._responses(states)
        self.law: McCullochPitts | Boltzmann
        if config.model == "mpm":
            self.law = McCullochPitts(self.shard, config.tau, config.seed, config.window, ranks)
        else:
            assert config.scan is not None
            self.law = Boltzmann(
                self.shard, config.tau, config.seed, config.window, ranks, config.scan
            )
        self.target = self.law.target
        engine = Relax if config.engine == "relax" else Race
        self.engine = engine(self.shard, ranks, self.timer)
        self.windows = self.replays = self.applies = 0
        self.left: Position | None = None

    def resume(self, position: Position) -> None:
        """Go on from where an earlier chain stood; its states were given at construction."""
        self.law.set_clock(position.clock)
        self.windows, self.replays = position.windows, position.replays
        self.applies = position.applies

    def advance(self, recorder: Recorder) -> None:
        """One window, or what of it belongs to the run."""
        self.timer.start()
        window = self.law.open(self.z, self.x)
        self.timer.stamp("open")
        solution = self.engine.solve(self.law, window, self.z, self.x)
        times = self.law.times(window, solution.events)
        kept = recorder.keep(times)
        events = solution.events[:kept]
        if kept < solution.events.size:  # the run ends here; another would need the whole window
            self.left = self.position(recorder)
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

    def now(self) -> float:
        """Model time or steps at the end of the last window."""
        return self.law.now()

    def position(self, recorder: Recorder) -> Position:
        """Where this chain would be resumed, on all ranks: the start of the coming window."""
        if self.left is not None:
            return self.left
        return Position(
            states=self.ranks.gather(self.x).copy(),
            clock=self.law.clock(),
            windows=self.windows,
            replays=self.replays,
            applies=self.applies,
            transitions=recorder.transitions,
            last=recorder.last,
            total=recorder.total % 2**64,
        )

    def network_digest(self) -> str:
        """The digest of the weights and biases that are simulated: the same for any ranks."""
        return network_digest(self.shard, self.ranks, cpu)

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

    def close(self) -> None:
        """Nothing to give back; a chain on GPUs has."""


def run(
    config: Config,
    ranks: Communicator,
    report: Callable[[Progress], None] | None = None,
    signals: Signals | None = None,
    saved: Checkpoint | None = None,
) -> Summary:
    """Run one chain on all ranks, with its output file and its checkpoints.

    `report` is called on the root, again and again; `signals` may ask for a stop; `saved` is an
    earlier run to go on with. Raises InputError on every rank alike for what cannot be done as
    asked, before anything is written, and OutputError for what could not be written later.
    """
    begun = clock.monotonic()
    with Watchdog(config.watchdog, ranks, lambda: ArrayFile.blocks, lambda: "loading") as watchdog:
        check_alike(config, ranks)
        network = agreed(ranks, lambda: _open(config, ranks, saved))
        states = None if saved is None else saved.position.states
        chain = open_chain(network, config, ranks, states)
        recorder = Recorder(*_length(config, network), None)
        name = "" if config.checkpoint is None and saved is None else chain.network_digest()
        if saved is not None:
            agreed(ranks, lambda: _check(saved, name, network, config))
            chain.resume(saved.position)
            recorder.go_on(saved.position.transitions, saved.position.last, saved.position.total)
        file = agreed(ranks, lambda: _create(config, ranks, chain.initial, saved))
        recorder.sink = None if file is None else Guarded(file)
        watchdog.look_at(
            progress=lambda: (chain.windows, chain.timer.stamps),
            doing=lambda: f"after `{chain.timer.phase}` in window {chain.windows}",
        )
        keeper = Keeper(config, ranks, name, recorder, file, watchdog, signals, begun)
        try:
            summary, final = _drive(chain, network, recorder, report, keeper)
            keeper.close(lambda file: file.finish(final, summary.digest))
        except OutputError as error:
            keeper.fail()
            raise OutputError(f"{error}{keeper.way_on()}") from error
        except BaseException:
            keeper.fail()
            raise
        chain.close()
    return summary


# Options that `simulate` does not take, and those that an array does not take besides.
_FILES = ("output", "overwrite", "checkpoint", "checkpoint_every", "max_time")


def simulate(network: Any, *, bias: Any = None, **options: Any) -> Result:
    """Run one chain on this process and return its events as arrays.

    network: weights W[N, N] (W[i, j] onto i from j) as a NumPy array or scipy.sparse matrix, or
    the name or file of a network as on the command line; bias: float64[N] beside an array, or a
    file beside a name; options: the fields of `Config` but for files and max_time. Raises
    InputError for what cannot be done as asked.
    """
    named = isinstance(network, str | Path)
    for name in (*_FILES, *(() if named else DETAILS)):
        if options.get(name):
            raise InputError(
                f"{name}: {options[name]} given to simulate; allowed: on the command line"
                + ("" if name in _FILES else ", or with the name of a network")
            )
    if named:
        config = Config(network=str(network), bias=bias, **options)
        source = open_network(config)
    else:
        config = Config(network="array", **options)
        source = from_array(network, bias)
    check_model(source, config.model, 0, source.neurons)
    chain = open_chain(source, config, Serial())
    memory = Memory()
    summary, final = _drive(chain, source, Recorder(*_length(config, source), memory))
    chain.close()
    time, neuron, state = (np.concatenate(column) for column in zip(*memory.blocks, strict=True))
    return Result(time, neuron, state, chain.initial, final, summary)


def _drive(
    chain: "Chain | DeviceChain",
    network: Network,
    recorder: Recorder,
    report: Callable[[Progress], None] | None = None,
    keeper: Keeper | None = None,
) -> tuple[Summary, NDArray[np.uint8]]:
    """The loop over windows, from the chain's state to the recorder's end, or to a stop."""
    config = chain.config
    begin = clock.perf_counter()
    before, since = recorder.transitions, chain.now()
    resumed = recorder.fraction(since)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
        if keeper is not None and not keeper.goes_on(chain):
            break
        if report is not None and chain.ranks.rank == 0:
            seconds = clock.perf_counter() - begin
            now = chain.now()
            fraction = recorder.fraction(now)
            report(Progress(recorder.transitions, now, fraction, seconds, before, resumed))
    final = chain.final()
    recorder.flush()
    chain.ranks.barrier()
    seconds = clock.perf_counter() - begin
    if keeper is not None:
        keeper.end(chain)

    stopped = None if keeper is None else keeper.stopped
    end = recorder.last if recorder.until is None else recorder.until
    if stopped is not None:
        end = chain.now()
    steps = int(end) if config.model == "bm" else None
    summary = Summary(
        model=config.model,
        network=network.name,
        neurons=network.neurons,
        tau=config.tau,
        seed=config.seed,
        engine=config.engine,
        device=chain.place,
        exchange=chain.exchange,
        ranks=chain.ranks.size,
        transitions=recorder.transitions,
        time=end,
        steps=steps,
        seconds=seconds,
        transitions_per_second=(recorder.transitions - before) / seconds,
        steps_per_second=None if steps is None else (steps - since) / seconds,
        windows=chain.windows,
        replays=chain.replays,
        applies=chain.applies,
        consistent=chain.consistent(final),
        digest=digest.text(recorder.total + digest.of_state(final)),
        phases=chain.timer.phases,
        stopped=stopped,
        checkpoint=config.checkpoint,
    )
    return summary, final


def open_chain(
    network: Network, config: Config, ranks: Communicator, states: NDArray[np.uint8] | None = None
) -> "Chain | DeviceChain":
    """The chain on the device that the configuration asks for, on all ranks alike.

    states: of all neurons, uint8[N]; without them those that the configuration names.
    """
    gpu = on_gpu(config.device, ranks)
    if config.exchange != "auto" and not gpu:
        raise InputError(
            f"exchange {config.exchange} given on the CPU; allowed: on GPUs (--device gpu), or auto"
        )
    if states is None:
        states = _initial(config, network.neurons, ranks)
    if not gpu:
        return Chain(network, config, ranks, states)
    from distsim.device import DeviceChain

    return DeviceChain(network, config, ranks, states)


def on_gpu(device: str, ranks: Communicator) -> bool:
    """Whether `device` means the GPU here, on all ranks alike; each has then taken its own.

    auto: where there is one for every rank.
    """
    lack = None if device == "cpu" else _missing_gpu()
    if device == "gpu":
        agreed(ranks, lambda: _refuse(f"device gpu: {lack}; allowed here: cpu") if lack else None)
    if device == "cpu" or ranks.maximum(int(lack is not None)) == 1:
        return False
    from distsim.device import take_gpu

    taken = take_gpu(ranks)
    if taken and device == "gpu":
        raise InputError(taken)
    return taken is None


def _missing_gpu() -> str | None:
    """What a run on a GPU lacks here, or None."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: install distsim[cuda12] or distsim[cuda13], as the driver is"
    try:
        from distsim.kernels import cuda
    except ImportError as error:
        return f"CuPy cannot be imported: {error}"
    return cuda.missing()


def _refuse(reason: str) -> None:
    raise InputError(reason)


def _length(config: Config, network: Network) -> tuple[int | None, float | None]:
    """The run's length: (transitions, end in time or steps)."""
    if config.sweeps is not None:
        return None, float(config.sweeps * network.neurons)
    return config.transitions, config.time if config.steps is None else float(config.steps)


def _create(
    config: Config, ranks: Communicator, initial: NDArray[np.uint8], saved: Checkpoint | None
) -> EventFile | None:
    """The output file, on the root."""
    if ranks.rank != 0:
        return None
    try:
        if saved is None:
            return _begin(config, initial)
        if config.output is None:
            return None
        start = saved.position
        return EventFile.reopen(config.output, config, start.states, start.transitions, start.total)
    except OutputError as error:
        raise InputError(str(error)) from error


def _begin(config: Config, initial: NDArray[np.uint8]) -> EventFile | None:
    """A new output file; then, not before, an earlier run's checkpoints go."""
    file = None if config.output is None else EventFile.begin(config.output, config, initial)
    try:
        if config.checkpoint is not None:
            remove(config.checkpoint)
    except OutputError:
        if file is not None:
            file.discard()
        raise
    return file


def _open(config: Config, ranks: Communicator, saved: Checkpoint | None) -> Network:
    """The network, checked for this rank's rows; the output's place."""
    if ranks.rank == 0 and saved is None:
        check_output(config)
    network = open_network(config)
    if saved is not None and network.neurons != saved.neurons:
        raise InputError(
            f"network {config.network}: {network.neurons} neurons given; allowed: the network of "
            f"the run that is resumed, {saved.neurons} neurons"
        )
    check_model(
        network,
        config.model,
        partition.start(ranks.rank, network.neurons, ranks.size),
        partition.start(ranks.rank + 1, network.neurons, ranks.size),
    )
    return network


def _check(saved: Checkpoint, digest: str, network: Network, config: Config) -> None:
    """Refuse to resume with another network, or to a length that is passed already."""
    if digest != saved.network:
        raise InputError(
            f"network {network.name}: other weights or biases given than those of the run that is "
            f"resumed, digest {digest} instead of {saved.network}; allowed: the same network"
        )
    done = {
        "transitions": saved.transitions,
        "time": saved.time,
        "steps": saved.time,
        "sweeps": saved.time / saved.neurons,
    }
    for name in LENGTHS:
        given = getattr(config, name)
        if given is not None and given < done[name]:
            raise InputError(
                f"{flag(name)}: {given} given; allowed: {done[name]}, which is done, or more"
            )


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
