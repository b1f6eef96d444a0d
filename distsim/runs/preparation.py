"""What must hold before the first window: files, network, length, and the run that goes on."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from time import process_time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Chain, Seen
from distsim.chains.opening import open_chain
from distsim.config.options import LENGTHS, Config, flag
from distsim.config.sources import check_output, check_progress
from distsim.errors import InputError, OutputError
from distsim.files.arrays import ArrayFile
from distsim.files.claim import Claim
from distsim.files.events import CONDITIONS
from distsim.kernels.philox import REPLICA_SHIFT
from distsim.kernels.window import END_OF_TIME
from distsim.laws.conditions import Conditions
from distsim.laws.window import RULE, few_weights
from distsim.networks.catalogue import open_network
from distsim.ranks.agreement import agreed, gathered
from distsim.ranks.communicator import Communicator
from distsim.recording.observation import Observation
from distsim.recording.recorder import Recorder
from distsim.runs import report
from distsim.runs.checkpoint import Checkpoint, remove
from distsim.runs.conditions import settled
from distsim.runs.observing import check_rows, open_observation
from distsim.runs.output import EventFile
from distsim.runs.progress import Display
from distsim.runs.progress_file import ProgressFile
from distsim.runs.same_inputs import check_alike
from distsim.weights.source import Network

_HOST = 64  # bytes of a host's name
MOST_STEPS = 1 << REPLICA_SHIFT  # more would be named as another replica's


class Prepared(NamedTuple):
    """A run at its first window, or at that from which it goes on. digest: of its network."""

    network: Network
    chain: Chain
    recorder: Recorder
    digest: str


def prepare(config: Config, ranks: Communicator, saved: Checkpoint | None) -> Prepared:
    """Load the network and open the chain. Raises InputError on every rank alike."""
    check_alike(config, ranks)
    check_grid(config, ranks)
    network = agreed(ranks, lambda: open_checked(config, ranks, saved, ranks))
    limit, until = length(config, network)
    states, earlier, before = None, None, None
    if saved is not None:
        stood = saved.chain
        states, earlier, before = stood.position.states, stood.observed, stood.conditions
    conditions = settled(config, network, ranks, until, saved=before)(0)
    chain = open_chain(network, config, ranks, states, conditions)
    observation = open_observation(config, network, chain, until, earlier, on_disk=True)
    saves = config.save_events if config.checkpoint is not None else None
    recorder = Recorder(limit, until, observation=observation, look=saves)
    digest = "" if config.checkpoint is None and saved is None else chain.network_digest()
    if saved is not None:
        agreed(ranks, lambda: check_same(saved, digest, network, config, chain.shard.connections))
        position = saved.chain.position
        chain.go_on(position)
        recorder.go_on(position.transitions, position.last, position.total)
    return Prepared(network, chain, recorder, digest)


@contextlib.contextmanager
def claimed(config: Config, ranks: Communicator, saved: Checkpoint | None) -> Iterator[None]:
    """The name of the run's checkpoints is meanwhile nobody else's. Raises InputError on every
    rank alike if another run has it."""
    claim = agreed(ranks, lambda: _claim(config, saved) if ranks.rank == 0 else None)
    try:
        yield
    finally:
        if claim is not None:
            claim.release()


def _claim(config: Config, saved: Checkpoint | None) -> Claim | None:
    if config.checkpoint is None:
        return None
    try:
        return Claim(config.checkpoint)
    except OSError as error:
        busy = error.errno == errno.EBUSY
        if saved is None and not busy:
            check_output(config)  # has more to say of a place where nothing can be written
        allowed = "; allowed: another file, or this one when that run has ended" if busy else ""
        raise InputError(f"checkpoint {config.checkpoint}: {error.strerror}{allowed}") from None


def check_grid(config: Config, ranks: Communicator) -> int:
    """How many groups of ranks there are, each of which has chains of its own. Raises InputError,
    on every rank alike."""
    together = config.together or ranks.size
    groups, rest = divmod(ranks.size, together)
    if rest:
        raise InputError(
            f"ranks: {ranks.size} given with {together} a chain; allowed: a multiple of "
            f"{flag('ranks_per_chain')} {together}"
        )
    if groups > config.chains:
        raise InputError(
            f"ranks: {ranks.size} given for {report.plural(config.chains, 'chain')} of "
            f"{report.plural(together, 'rank')}; allowed: up to {config.chains * together}, or "
            f"more a chain, by {flag('ranks_per_chain')}"
        )
    return groups


class Compilation:
    """Hears of each kernel that is compiled, and tells users and watchdogs."""

    def __init__(self, show: Display | None) -> None:
        self._show = show
        self._begun = self._done = 0  # kernels

    def __call__(self, kernel: str | None) -> None:
        if kernel is None:
            self._done += 1
            return
        self._begun += 1
        if self._show is not None:
            self._show.compiling(kernel)

    def progress(self) -> object:
        """Changes as long as this rank reads files or compiles, however long a kernel takes."""
        return ArrayFile.bytes_read, self._done, process_time() if self.compiles else 0.0

    def doing(self) -> str:
        return "compiling kernels" if self.compiles else "loading"

    @property
    def compiles(self) -> bool:
        """Whether a kernel is being compiled."""
        return self._begun > self._done


def length(config: Config, network: Network) -> tuple[int | None, float | None]:
    """The run's length: (transitions, end in time or steps). Raises InputError."""
    if config.time is not None and config.time > END_OF_TIME:
        raise InputError(
            f"{flag('time')}: {config.time:g} given; allowed: up to 2^1000, {END_OF_TIME:.4g}"
        )
    steps = config.steps if config.sweeps is None else config.sweeps * network.neurons
    if steps is None:
        return config.transitions, config.time
    if steps > MOST_STEPS:
        name = "steps" if config.sweeps is None else "sweeps"
        raise InputError(
            f"{flag(name)}: {getattr(config, name)} given, {steps:.4g} steps; allowed: up to 2^48 "
            f"steps, {MOST_STEPS:.4g}"
        )
    return None, float(steps)


def whereabouts(chain: Seen, ranks: Communicator) -> dict[str, object]:
    """Where and how a run goes on, for its output file: all that its events do not depend on."""
    name = os.uname().nodename.encode()[:_HOST].ljust(_HOST)
    hosts = gathered(ranks, name)
    return {
        "ranks": ranks.size,
        "engine": chain.engine,
        "device": chain.place,
        "exchange": chain.exchange,
        "hosts": [host.decode().rstrip() for host in dict.fromkeys(hosts)],
    }


def create_output(
    config: Config,
    ranks: Communicator,
    initial: NDArray[np.uint8],
    observation: Observation | None,
    saved: Checkpoint | None,
    where: Mapping[str, object],
    network: Network,
    conditions: Conditions,
) -> EventFile | None:
    """The output file, on the root; where: of `whereabouts`."""
    if ranks.rank != 0:
        return None
    try:
        if saved is None:
            return _begin(config, initial, observation, where, network, conditions)
        if config.output is None:
            return None
        stood = saved.chain
        return EventFile.reopen(
            config.output, config, stood.position, observation, where, stood.conditions
        )
    except OutputError as error:
        raise InputError(str(error)) from error


def _begin(
    config: Config,
    initial: NDArray[np.uint8],
    observation: Observation | None,
    where: Mapping[str, object],
    network: Network,
    conditions: Conditions,
) -> EventFile | None:
    """A new output file; then, not before, an earlier run's checkpoints go."""
    file = None
    if config.output is not None:
        plan = None if observation is None else observation.plan
        known = {"names": network.names, "population": network.population}
        file = EventFile.begin(config.output, config, initial, plan, where, known)
    try:
        if file is not None and not conditions.plain:
            file.put(CONDITIONS, conditions.arrays())
        if config.checkpoint is not None:
            remove(config.checkpoint)
    except OutputError:
        if file is not None:
            file.discard()
        raise
    return file


@contextlib.contextmanager
def watched(
    config: Config,
    ranks: Communicator,
    saved: Checkpoint | None,
    observation: Observation | None,
    show: Display | None,
) -> Iterator[ProgressFile | None]:
    """The root's file of progress, where one is asked for; if its lines end early `show` tells."""
    if config.progress is None or ranks.rank != 0:
        yield None
        return
    lines = ProgressFile(
        config.progress,
        again=saved is not None,
        steps=config.model == "bm",
        seen=None if observation is None else observation.scalars,
    )
    try:
        yield lines
    finally:
        lines.close()
        if lines.error is not None and show is not None:
            show.tell(f"distsim: {lines.error}")


def open_checked(
    config: Config, ranks: Communicator, saved: Checkpoint | None, group: Communicator
) -> Network:
    """The network, checked for this rank's rows of those that its group has; the output's place."""
    if ranks.rank == 0:
        if saved is None:
            check_output(config)
        else:
            check_progress(config, again=True)
    network = open_network(config)
    if saved is not None and network.neurons != saved.neurons:
        raise InputError(
            f"network {config.network}: {network.neurons} neurons given; allowed: the network of "
            f"the run that is resumed, {saved.neurons} neurons"
        )
    check_rows(config, network, group)
    return network


def check_same(
    saved: Checkpoint, digest: str, network: Network, config: Config, connections: int
) -> None:
    """Refuse to resume with another network or window rule, or to a length that is passed already.
    connections: how many weights are not zero."""
    if digest != saved.network:
        raise InputError(
            f"network {network.name}: other weights or biases given than those of the run that is "
            f"resumed, digest {digest} instead of {saved.network}; allowed: the same network"
        )
    ruled = config.model == "mpm" and config.window is None
    if saved.rule < RULE and ruled and few_weights(network.neurons, connections):
        raise InputError(
            f"network {network.name}: {connections:,} connections of {network.neurons:,} neurons "
            f"given for a run of distsim {saved.version} with the window rule before; allowed: a "
            "network of up to 4,096 neurons or more than N^2 / 4 connections, or to run it again"
        )
    time = max((chain.time for chain in saved.chains.values()), default=0.0)
    done = {
        "transitions": max((chain.transitions for chain in saved.chains.values()), default=0),
        "time": time,
        "steps": time,
        "sweeps": time / saved.neurons,
    }
    for name in LENGTHS:
        given = getattr(config, name)
        if given is not None and given < done[name]:
            raise InputError(
                f"{flag(name)}: {given} given; allowed: {done[name]}, which is done, or more"
            )
