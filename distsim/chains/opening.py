"""The chain that a configuration asks for: the one place that knows CPU and GPU."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Chain
from distsim.chains.cpu import HostChain
from distsim.chains.rehearsal import rehearse
from distsim.config.network import GIVEN
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.kernels import cache
from distsim.kernels.philox import replica_bits
from distsim.kernels.states import random_states
from distsim.laws.conditions import Conditions
from distsim.ranks.agreement import agreed, gathered
from distsim.ranks.communicator import Communicator
from distsim.weights.source import Network


def take_gpu(ranks: Communicator) -> str | None:
    """Choose this rank's GPU, by its place on its host; why some rank has none, or None."""
    from distsim.gpu.driver import choose

    name = choose(ranks.here()[0])
    names = [part.decode().rstrip() for part in gathered(ranks, name.encode().ljust(160))]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is None:
        return None
    users = [str(rank) for rank, name in enumerate(names) if name == twice]
    return (
        f"GPU {twice}: taken by ranks {' and '.join(users)}; allowed: one rank a GPU, so as many "
        "ranks on a host as it has GPUs"
    )


def open_chain(
    network: Network,
    config: Config,
    ranks: Communicator,
    states: NDArray[np.uint8] | None = None,
    conditions: Conditions | None = None,
) -> Chain:
    """The chain on the device that the configuration asks for, on all ranks alike.

    states: of all neurons, uint8[N]; without them those that the configuration names. conditions:
    what holds when; without them the configuration's one temperature.
    """
    check_kernels(ranks)
    if not on_gpu(_device(config, conditions), ranks):
        return open_on_host(network, config, ranks, states, conditions)
    if config.engine == "walk":
        raise _no_walk("a GPU")
    from distsim.chains.gpu import DeviceChain

    return DeviceChain(
        network, config, ranks, *start_of(config, network.neurons, ranks, states, conditions)
    )


def check_kernels(ranks: Communicator) -> None:
    """Raise InputError on every rank alike where kernels cannot be compiled."""
    agreed(ranks, lambda: _refuse(cache.lack) if cache.lack else None)


def open_on_host(
    network: Network,
    config: Config,
    ranks: Communicator,
    states: NDArray[np.uint8] | None = None,
    conditions: Conditions | None = None,
    before: HostChain | None = None,
) -> HostChain:
    """The chain on the CPU, as `open_chain`. before: one of the same network, in whose place it is:
    it has its shard and its engine."""
    if config.exchange != "auto":
        raise InputError(
            f"exchange {config.exchange} given on the CPU; allowed: on GPUs (--device gpu), or auto"
        )
    if config.engine == "walk" and ranks.minimum(ranks.here()[1]) < ranks.size:
        raise _no_walk("several hosts")
    start = start_of(config, network.neurons, ranks, states, conditions)
    if before is not None:
        return before.another(config, *start)
    chain = HostChain(network, config, ranks, *start)
    rehearse(
        replace(config, engine=chain.engine),
        chain.shard.kind,
        chain.shard.storage.name,
        several_ranks=ranks.size > 1,
    )
    return chain


def _no_walk(where: str) -> InputError:
    return InputError(
        f"engine walk given on {where}; allowed: on the CPUs of one host, or auto, relax or race"
    )


def start_of(
    config: Config,
    neurons: int,
    ranks: Communicator,
    states: NDArray[np.uint8] | None,
    conditions: Conditions | None,
) -> tuple[NDArray[np.uint8], Conditions]:
    """The states of all neurons, uint8[N], and what holds when: those given, else those that the
    configuration names."""
    if states is None:
        states = _initial(config, neurons, ranks)
    if conditions is None:
        conditions = Conditions.constant(config.tau)
    return conditions.hold(states), conditions


def _device(config: Config, conditions: Conditions | None) -> str:
    """Where the chain may run. Raises InputError for what GPUs cannot do yet."""
    plain = conditions is None or conditions.plain
    if plain and not config.replica and config.storage != "sparse":
        return config.device
    if config.device == "gpu":
        what = f"replica {config.replica}" if config.replica else "sparse storage"
        what = what if plain else "conditions"
        raise InputError(f"device gpu: given with {what}; allowed: cpu or auto")
    return "cpu"


def chains_on_gpus(
    config: Config, conditions: Sequence[Conditions], neurons: int, ranks: Communicator
) -> bool:
    """Whether several chains are to be on GPUs, one a rank, which each rank has taken then; the
    same on all. Raises InputError for what GPUs cannot do yet."""
    lack = _lack_of_chains(config, conditions, neurons)
    if lack is not None and config.device == "gpu":
        raise InputError(f"device gpu: given for several chains with {lack}; or cpu, or auto")
    return on_gpu("cpu" if lack else config.device, ranks)


def _lack_of_chains(config: Config, conditions: Sequence[Conditions], neurons: int) -> str | None:
    """Why several chains cannot be on GPUs, or None."""
    sweeps = config.model == "bm"
    lacks = {
        f"engine {config.engine}; allowed: auto": config.engine != "auto",
        "tempering; allowed: without": config.temper is not None,
        f"{config.together} ranks a chain; allowed: 1": config.together != 1,
        "events; allowed: without (--no-events)": bool(config.events),
        "observables; allowed: without": config.observe is not None,
        "sparse storage; allowed: dense": config.storage == "sparse",
        "a stimulus; allowed: without": any(one.turns.size for one in conditions),
        "a random scan; allowed: --scan sequential": config.scan == "random",
        "weights of 32 bits; allowed: 8 or 16": sweeps and config.weight_bits == 32,
        "temperatures that change inside a sweep; allowed: between sweeps": sweeps
        and any((one.times % neurons).any() for one in conditions),
    }
    return next((lack for lack, holds in lacks.items() if holds), None)


def on_gpu(device: str, ranks: Communicator) -> bool:
    """Whether `device` means the GPU here, on all ranks alike; each has then taken its own.

    auto: where there is one for every rank.
    """
    lack = None if device == "cpu" else _missing_gpu()
    if device == "gpu":
        agreed(ranks, lambda: _refuse(f"device gpu: {lack}; allowed here: cpu") if lack else None)
    if device == "cpu" or ranks.maximum(int(lack is not None)) == 1:
        return False
    taken = take_gpu(ranks)
    if taken and device == "gpu":
        raise InputError(taken)
    return taken is None


def _missing_gpu() -> str | None:
    """What a run on a GPU lacks here, or None."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: install distsim[cuda12] or distsim[cuda13], as the driver is"
    try:
        from distsim.gpu.driver import missing
    except ImportError as error:
        return f"CuPy cannot be imported: {error}"
    return missing()


def _refuse(reason: str) -> None:
    raise InputError(reason)


def _initial(config: Config, neurons: int, ranks: Communicator) -> NDArray[np.uint8]:
    """The state of all neurons at the start, uint8[N]."""
    states = np.zeros(neurons, np.uint8)
    if config.initial == "ones":
        states[:] = 1
    elif config.initial == "random":
        random_states(np.uint64(config.seed), replica_bits(config.replica), 0, states)
    elif config.initial == GIVEN:
        raise InputError(
            f"initial: {GIVEN} given; allowed: zeros, ones, random or a .npy file; from Python "
            "also an array or a Result"
        )
    elif config.initial != "zeros":
        states = agreed(ranks, lambda: read_states(config.initial, neurons))
    return states


def read_states(path: str, neurons: int, chains: int = 1) -> NDArray[np.uint8]:
    """The initial states in a .npy file, as `as_states`. Raises InputError."""
    try:
        states = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"initial states {path}: {error}") from error
    return as_states(f"initial states {path}", states, neurons, chains)


def as_states(place: str, states: NDArray[Any], neurons: int, chains: int = 1) -> NDArray[np.uint8]:
    """States as uint8[N], a copy; of several chains also uint8[R, N]. Raises InputError where they
    are not N, or R x N, zeros and ones."""
    shapes = [(neurons,)] if chains == 1 else [(neurons,), (chains, neurons)]
    if states.shape not in shapes or not np.isin(states, (0, 1)).all():
        each = "" if chains == 1 else f", or {chains} x {neurons}, a row a chain"
        raise InputError(
            f"{place}: shape {states.shape}, type {states.dtype}; "
            f"allowed: {neurons} numbers, one a neuron, each 0 or 1{each}"
        )
    return states.astype(np.uint8)
