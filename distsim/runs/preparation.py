"""What must hold before the first window: files, network, length, and the run that goes on."""

import numpy as np
from numpy.typing import NDArray

from distsim.config.options import LENGTHS, Config, flag
from distsim.config.sources import check_output
from distsim.errors import InputError, OutputError
from distsim.networks.catalogue import open_network
from distsim.networks.checks import check_model
from distsim.ranks import partition
from distsim.ranks.communicator import Communicator
from distsim.runs.checkpoint import Checkpoint, remove
from distsim.runs.output import EventFile
from distsim.weights.source import Network


def length(config: Config, network: Network) -> tuple[int | None, float | None]:
    """The run's length: (transitions, end in time or steps)."""
    if config.sweeps is not None:
        return None, float(config.sweeps * network.neurons)
    return config.transitions, config.time if config.steps is None else float(config.steps)


def create_output(
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


def open_checked(config: Config, ranks: Communicator, saved: Checkpoint | None) -> Network:
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


def check_same(saved: Checkpoint, digest: str, network: Network, config: Config) -> None:
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
