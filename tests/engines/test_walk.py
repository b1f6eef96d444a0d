"""The walk: the stream of race, whatever the case; stretches that end where they should."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from thread_ranks import on

from distsim import simulate
from distsim.chains.chain import Position
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.engines import walk
from distsim.errors import InputError
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Communicator, Serial
from distsim.recording.recorder import Recorder


def case(random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any] | None, dict[str, Any]]:
    """A small network, its bias, options."""
    neurons = int(random.choice([1, 2, 3, 5, 8, 20, 63, 64, 65, 100, 130]))
    model = "mpm" if random.random() < 0.6 else "bm"
    coupling = float(random.choice([0.2, 1.0, 3.0]))
    weights = random.normal(0.0, coupling / np.sqrt(neurons), (neurons, neurons))
    if random.random() < 0.3:  # ties and zeros
        weights = np.rint(3.0 * weights) / 2.0
    if model == "bm":
        weights = weights + weights.T
        np.fill_diagonal(weights, 0.0)
    elif random.random() < 0.5:
        np.fill_diagonal(weights, random.normal(0.0, 2.0 * coupling, neurons))
    bias = random.normal(0.0, coupling, neurons) if random.random() < 0.6 else None
    options: dict[str, Any] = {
        "model": model,
        "tau": float(np.exp(random.uniform(np.log(0.05), np.log(4.0)))),
        "seed": int(random.integers(2**63)),
        "weight_bits": int(random.choice([8, 16, 32])),
        "initial": str(random.choice(["zeros", "ones", "random"])),
        "device": "cpu",
    }
    if random.random() < 0.5:
        options["window"] = int(random.choice([1, 2, 3, 7, 40, 1000]))
    if model == "bm":
        options["scan"] = str(random.choice(["sequential", "random"]))
        options["tau"] *= random.random() > 0.15
        options["steps"] = int(random.integers(1, 2000))
    else:
        options["transitions"] = int(random.integers(1, 400))
    return weights, bias, options


@pytest.mark.parametrize("part", range(5))
def test_the_stream_is_that_of_race(part: int) -> None:
    for number in range(50):
        weights, bias, options = case(np.random.default_rng([part, number]))
        walked, raced = (
            simulate(weights, bias=bias, engine=engine, **options).summary
            for engine in ("walk", "race")
        )
        assert walked.consistent
        assert (walked.digest, walked.windows) == (raced.digest, raced.windows), (part, number)


def walked(
    ranks: Communicator, weights: NDArray[Any], bias: NDArray[Any] | None, options: dict[str, Any]
) -> tuple[int, int, list[int]]:
    """The digest's sum, how many windows, the final states."""
    config = Config(network="array", engine="walk", **options)
    chain = open_chain(from_array(weights, bias), config, ranks)
    recorder = Recorder(config.transitions, config.steps, None)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    assert chain.consistent(chain.final())
    return recorder.total % 2**64, chain.windows, chain.final().tolist()


@pytest.mark.parametrize("size", [2, 3])
def test_the_stream_of_several_ranks_is_that_of_one(size: int) -> None:
    for number in range(12):
        weights, bias, options = case(np.random.default_rng([7, number]))
        alone = walked(Serial(), weights, bias, options)
        walk_on = partial(walked, weights=weights, bias=bias, options=options)
        assert on(size, walk_on) == alone, number


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_ranks_that_guess_wrong_take_it_back(storage: str) -> None:
    """Few neurons that excite each other strongly: most proposals are not the next events."""
    for window, size in ((None, 2), (1000, 3)):
        weights = np.random.default_rng(size).normal(0.1, 0.4, (12, 12))
        options: dict[str, Any] = {
            "tau": 0.15, "transitions": 500, "window": window, "device": "cpu", "weight_bits": 8,
        }  # fmt: skip
        alone = walked(Serial(), weights, None, options)
        asked = {**options, "storage": storage}
        walk_on = partial(walked, weights=weights, bias=None, options=asked)
        assert on(size, walk_on) == alone


@pytest.mark.parametrize("bits", [8, 32])
def test_blocks_of_visits_make_the_stream_of_race(bits: int) -> None:
    options: dict[str, Any] = {"model": "bm", "weight_bits": bits, "steps": 12_000}
    for neurons, tau in ((1030, 0.5), (1030, 0.0), (4100, 3.0)):
        walked, raced = (
            simulate("gaussian", neurons=neurons, tau=tau, engine=engine, **options).summary
            for engine in ("walk", "relax")
        )
        assert walked.consistent
        assert (walked.digest, walked.windows) == (raced.digest, raced.windows)


@pytest.mark.parametrize("window", [None, 1000])
def test_room_grows(window: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window for which there is no room is taken back, and walked through again."""
    options: dict[str, Any] = {"neurons": 50, "tau": 0.2, "transitions": 5000, "window": window}
    wanted = simulate("gaussian", **options, engine="walk").digest
    weights = np.random.default_rng(5).normal(0.0, 0.14, (50, 50))
    several = {"tau": 0.2, "transitions": 5000, "window": window, "device": "cpu"}
    alone = walked(Serial(), weights, None, several)
    monkeypatch.setattr(walk, "_TICKETS", 1)
    monkeypatch.setattr(walk, "_EVENTS", 1)
    monkeypatch.setattr(walk, "LARGEST_TARGET", 0)
    result = simulate("gaussian", **options, engine="walk")
    assert result.summary.consistent
    assert result.digest == wanted
    for storage in ("dense", "sparse"):
        walk_on = partial(
            walked, weights=weights, bias=None, options={**several, "storage": storage}
        )
        assert on(2, walk_on) == alone


def ended(engine: str, options: dict[str, Any], until: float | None) -> tuple[Position, bool]:
    """Where a chain would be resumed after its run, and whether z is W x + b."""
    weights = np.random.default_rng(2).normal(0.0, 0.3, (30, 30))
    if options["model"] == "bm":
        weights = np.triu(weights, 1) + np.triu(weights, 1).T
    config = Config(network="array", engine=engine, device="cpu", **options)
    chain = open_chain(from_array(weights), config, Serial())
    recorder = Recorder(config.transitions, until, None)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    return chain.position(recorder), chain.consistent(chain.final())


@pytest.mark.parametrize("model", ["mpm", "bm"])
@pytest.mark.parametrize("length", [1, 2, 30, 31, 32, 33, 500, 1234, 5000])
def test_a_run_that_ends_inside_a_window_is_resumed_at_its_start(model: str, length: int) -> None:
    name, end = ("time", length / 100) if model == "mpm" else ("steps", length)
    ends: list[tuple[str, float, float | None]] = [
        ("transitions", length, None),
        (name, end, float(end)),
    ]
    for option, value, until in ends:
        asked = {"model": model, "window": 16, option: value}
        (walked, right), (raced, _) = (ended(engine, asked, until) for engine in ("walk", "race"))
        assert right
        np.testing.assert_array_equal(walked.states, raced.states)
        for name in ("clock", "windows", "transitions", "last", "total"):
            assert getattr(walked, name) == getattr(raced, name)


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_a_stretch_ends_with_the_window_that_makes_its_events(model: str) -> None:
    config = Config(
        model=model, network="gaussian", neurons=100, transitions=10**6, engine="walk", device="cpu"
    )
    chain = open_chain(from_array(np.zeros((100, 100))), config, Serial())
    recorder = Recorder(config.transitions, None, look=1)
    for _ in range(20):
        windows, events = chain.windows, recorder.transitions
        chain.advance(recorder)
        assert recorder.transitions > events
        assert chain.windows < windows + 3  # a window may have no event


def test_auto_walks_where_each_rank_of_one_host_has_a_core() -> None:
    class Two(Serial):
        """On one host, with a core each or not; or on two."""

        size = 2

        def __init__(self, here: int, *, roomy: bool) -> None:
            self._here, self._roomy = here, roomy

        def here(self) -> tuple[int, int]:
            return 0, self._here

        def side_by_side(self) -> bool:
            return self._roomy

    dense, sparse = from_array(np.ones((3, 3))), from_array(csr_array((1024, 1024)))
    for engine, ranks, chosen, held in (
        ("auto", Serial(), "walk", "sparse"),
        ("auto", Two(2, roomy=False), "relax", "dense"),
        ("auto", Two(2, roomy=True), "walk", "sparse"),
        ("race", Serial(), "race", "dense"),
        ("walk", Two(2, roomy=False), "walk", "sparse"),
    ):
        config = Config(network="array", engine=engine, transitions=1, device="cpu")
        for network, storage in ((dense, "dense"), (sparse, held)):
            chain = open_chain(network, config, ranks)
            assert (chain.engine, chain.shard.storage.name) == (chosen, storage)
    config = Config(network="array", engine="walk", transitions=1, device="cpu")
    with pytest.raises(
        InputError, match="engine walk given on several hosts; allowed: on the CPUs"
    ):
        open_chain(dense, config, Two(1, roomy=False))
