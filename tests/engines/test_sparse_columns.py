"""Sparse weights: the stream that dense ones make, by every engine, whatever the network."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from thread_ranks import on, on_ranks

from distsim import simulate
from distsim.chains import cpu
from distsim.chains.chain import Position
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Communicator, Serial
from distsim.recording.recorder import Recorder
from distsim.weights import sparse
from distsim.weights.source import Network

CONDITIONS = {"observe", "clamp", "stimulus"}


def connected(random: np.random.Generator, neurons: int) -> NDArray[Any]:
    """Which weights there are: any number a neuron; hubs, neurons without any, self-edges."""
    share = random.choice([0.0, 1.0, 3.0, 0.2 * neurons, neurons]) / neurons
    there: NDArray[Any] = random.random((neurons, neurons)) < share
    if random.random() < 0.5:
        hubs = random.integers(neurons, size=2)
        there[hubs[0], :] = there[:, hubs[1]] = True
    if random.random() < 0.5:
        lone = random.integers(neurons, size=2)
        there[lone[0], :] = there[:, lone[1]] = False
    np.fill_diagonal(there, random.random() < 0.5)
    return there


def case(random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any] | None, dict[str, Any]]:
    """A small network, its bias, options."""
    neurons = int(random.choice([1, 2, 3, 20, 64, 130, 257]))
    model = "mpm" if random.random() < 0.6 else "bm"
    there = connected(random, neurons)
    coupling = float(random.choice([0.5, 1.0, 4.0])) / np.sqrt(max(1.0, there.sum() / neurons))
    weights = np.where(there, random.normal(0.0, coupling, there.shape), 0.0)
    if random.random() < 0.3:  # ties, zeros, and those that are as large as can be
        weights = np.rint(3.0 * weights / coupling) * coupling / 2.0
    if model == "bm":
        weights = weights + weights.T
        np.fill_diagonal(weights, 0.0)
    bias = random.normal(0.0, coupling, neurons) if random.random() < 0.6 else None
    options: dict[str, Any] = {
        "model": model,
        "tau": float(random.choice([0.1, 0.3, 1.0, 4.0])),
        "seed": int(random.integers(2**63)),
        "weight_bits": int(random.choice([8, 32])),
        "initial": str(random.choice(["zeros", "ones", "random"])),
        "device": "cpu",
    }
    if random.random() < 0.5:
        options["window"] = int(random.choice([1, 3, 40, 1000, 10_000]))
    if neurons > 1 and random.random() < 0.3:
        options["clamp"] = {int(random.integers(neurons)): int(random.integers(2))}
    if random.random() < 0.3:
        options["observe"] = "energy" if model == "bm" else "activity"
    if random.random() < 0.3:
        options["stimulus"] = [(0.0, 0.7, int(random.integers(neurons)), 2.0)]
    if random.random() < 0.2:
        options["tau"] = f"{4 * options['tau']}:{options['tau']}"
    elif model == "bm":
        options["tau"] *= random.random() > 0.15
    if model == "bm":
        options["scan"] = str(random.choice(["sequential", "random"]))
        options["steps"] = int(random.integers(1, 4000))
    else:
        options["time"] = float(random.uniform(0.0, 8.0))
    return weights, bias, options


@pytest.mark.parametrize("part", range(4))
def test_the_stream_is_that_of_dense_weights(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    for number in range(50):
        random = np.random.default_rng([part, number])
        weights, bias, options = case(random)
        tile = int(random.choice([0, 1, 4, 7, 60])) or None
        monkeypatch.setattr(cpu, "tile_for", lambda *_, tile=tile: tile)
        dense = simulate(weights, bias=bias, storage="dense", engine="walk", **options)
        for given in (csr_array(weights), weights):
            held = simulate(given, bias=bias, storage="sparse", engine="walk", **options)
            assert held.summary.consistent
            assert held.digest == dense.digest, (part, number)
            assert held.summary.windows == dense.summary.windows
        assert held.observables_digest == dense.observables_digest
        made += dense.summary.transitions
    assert made > 10_000


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_it_is_so_of_neurons_that_two_bytes_do_not_number(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "_NARROW", 60)
    options: dict[str, Any] = {"model": model, "device": "cpu", "engine": "walk"}
    options |= {"time": 20.0} if model == "mpm" else {"steps": 9000}
    weights = np.triu(np.random.default_rng(2).normal(0.0, 0.3, (150, 150)), 1)
    weights[np.random.default_rng(3).random((150, 150)) < 0.9] = 0.0
    wanted = simulate(weights + weights.T, storage="dense", **options)
    for tile in (None, 64):
        monkeypatch.setattr(cpu, "tile_for", lambda *_, tile=tile: tile)
        made = simulate(csr_array(weights + weights.T), storage="sparse", **options)
        assert made.digest == wanted.digest
    assert wanted.summary.transitions > 1000


def test_tiles_have_parts_that_are_worth_it() -> None:
    assert sparse.tile_for(100_000, 100_000, 10**8) == 8192
    assert sparse.tile_for(10**6, 10**6, 10**9) == 32768
    assert sparse.tile_for(10**6, 10**6, 10**8) is None  # parts are too short
    assert sparse.tile_for(8000, 8000, 10**7) is None  # all z is in the cache
    assert sparse.tile_for(10**5, 50_000, 5 * 10**7) == 8192


def followed(
    ranks: Communicator, weights: NDArray[Any], options: dict[str, Any]
) -> tuple[int, int]:
    """The events of a chain, how many and their digest."""
    config = Config(network="array", **options)
    chain = open_chain(from_array(csr_array(weights)), config, ranks)
    until = config.time if config.steps is None else float(config.steps)
    recorder = Recorder(None, until, observation=None)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    assert chain.consistent(chain.final())
    return recorder.transitions, recorder.total % 2**64


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("engine", ["race", "relax", "walk"])
def test_several_ranks_make_it_too(engine: str, ranks: int) -> None:
    made = 0
    for number in range(14):
        weights, _, options = case(np.random.default_rng([9, number]))
        options = {name: options[name] for name in options.keys() - CONDITIONS}
        options |= {"time": 1.0} if options["model"] == "mpm" else {"steps": 400}
        options |= {"weight_bits": 32, "tau": 0.1 if number % 3 == 0 else 0.5}
        wanted = followed(Serial(), weights, {**options, "storage": "dense", "engine": "race"})
        asked = {**options, "storage": "sparse", "engine": engine}

        def follow(one: Communicator, w: NDArray[Any] = weights, o: Any = asked) -> tuple[int, int]:
            return followed(one, w, o)

        assert on_ranks(ranks, follow) == [wanted] * ranks, number
        made += wanted[0]
    assert made > 1000


def some_windows(
    ranks: Communicator, network: Network, config: Config, until: float, position: Position | None
) -> tuple[Position, bool, tuple[int, int]]:
    """Where a run that goes on is after a few windows, whether that is its end, and its events."""
    chain = open_chain(network, config, ranks, position.states if position else None)
    recorder = Recorder(None, until, observation=None)
    if position:
        chain.go_on(position)
        recorder.go_on(position.transitions, position.last, position.total)
    for _ in range(2):
        if not recorder.finished(chain.now()):
            chain.advance(recorder)
    made = recorder.transitions, recorder.total % 2**64
    return chain.position(recorder), recorder.finished(chain.now()), made


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_a_run_goes_on_with_the_other_storage_on_other_ranks(model: str) -> None:
    weights = np.where(np.random.default_rng(3).random((90, 90)) < 0.1, 0.4, 0.0)
    if model == "bm":
        weights = np.triu(weights, 1) + np.triu(weights, 1).T
    length = {"time": 20.0} if model == "mpm" else {"steps": 3000}
    options: dict[str, Any] = {"model": model, "window": 16, "engine": "walk", **length}
    wanted = followed(Serial(), weights, {**options, "storage": "dense"})
    network = from_array(csr_array(weights))
    position, over, made, legs = None, False, (0, 0), 0
    while not over:
        config = Config(network="array", storage=("sparse", "dense")[legs % 2], **options)
        until = float(length.get("time", 3000))
        go = partial(some_windows, network=network, config=config, until=until, position=position)
        position, over, made = on(1 + legs % 3, go)
        legs += 1
    assert made == wanted
    assert legs > 3
