"""What a run is to observe, checked before its first window: the network must have it, and memory
or the disk must have room for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Seen
from distsim.config.options import MOST_MOMENTS, Config, flag
from distsim.config.selection import selected
from distsim.errors import InputError
from distsim.files.places import check_disk
from distsim.limits import amount
from distsim.networks.checks import check_energy, check_model
from distsim.ranks import partition
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.recording.observation import MOST_SAMPLES, Observation, Plan
from distsim.weights.fitting import check_bytes
from distsim.weights.source import Network


def check_rows(config: Config, network: Network, ranks: Communicator) -> None:
    """Refuse, for this rank's rows, what the model cannot have, and observables that the network
    does not have: an energy without symmetry, unknown neurons. Raises InputError."""
    first = partition.start(ranks.rank, network.neurons, ranks.size)
    stop = partition.start(ranks.rank + 1, network.neurons, ranks.size)
    check_model(network, config.model, first, stop)
    if (config.energies or config.temper) and config.model != "bm":  # `check_model` asks as much
        names = " and ".join(sorted(config.observed & {"energy", "best"}))
        names = f"observe: {names}" if names else f"temper: {config.temper}"
        check_energy(network, names, first, stop)
    if config.moments_of is not None:
        selected(flag("moments_of"), config.moments_of, network.neurons, network.names)
    elif "moments" in config.observed and network.neurons > MOST_MOMENTS:
        raise InputError(
            f"observe: moments of all {network.neurons:,} neurons given; allowed: of up to "
            f"{MOST_MOMENTS:,}, or of those that {flag('moments_of')} names"
        )


def plan(config: Config, network: Network, unit: float) -> Plan:
    """unit: what a weight of 1 stands for."""
    assert config.every is not None
    of: Sequence[int] = range(network.neurons)
    if config.moments_of is not None:
        of = selected(flag("moments_of"), config.moments_of, network.neurons, network.names)
    return Plan(
        names=config.observed,
        neurons=network.neurons,
        every=config.every,
        sweep=network.neurons if config.model == "bm" else 1,
        of=np.array(of if "moments" in config.observed else (), np.int64),
        unit=unit,
        maxcut=network.maxcut,
    )


def open_observation(
    config: Config,
    network: Network,
    chain: Seen,
    until: float | None,
    earlier: Mapping[str, NDArray[Any]] | None,
    *,
    on_disk: bool,
) -> Observation | None:
    """The root's observation. until: the run's length in time or steps, if it has one, and room for
    its samples is to be looked for; earlier: the state of the observation that it goes on from;
    on_disk: samples go to a file. Raises InputError on every rank alike."""
    if config.observe is None:
        return None
    start = chain.shard.start(chain.initial, chain.ranks)
    what = plan(config, network, chain.shard.unit)

    def opened() -> Observation | None:
        if chain.ranks.rank != 0:
            return None
        moments = what.of.size
        if moments:
            check_bytes("observe", f"moments of {moments:,} neurons", 8 * moments**2)
        observation = Observation(what, start)
        if earlier is not None:
            observation.go_on(earlier)
        _check_room(config, observation, until, on_disk=on_disk)
        return observation

    return agreed(chain.ranks, opened)


def _check_room(
    config: Config, observation: Observation, until: float | None, *, on_disk: bool
) -> None:
    """Refuse more samples than there is room for, where their number is known."""
    what = observation.plan
    if until is None:
        return
    count = until / what.every / what.sweep
    if not count < MOST_SAMPLES:
        raise InputError(
            f"{flag('every')}: {what.every:g} given, {count:.3g} samples; "
            f"allowed: up to {MOST_SAMPLES:,}"
        )
    samples = int(count)
    wanted = (samples - observation.samples) * what.bytes_a_sample
    each = amount(what.bytes_a_sample)
    given = f"{samples:,} samples of {each} by {flag('every')} {what.every:g}"
    if on_disk and config.output is not None:
        check_disk(config.output, given, wanted)
    elif not on_disk:
        check_bytes("observe", given, wanted)
