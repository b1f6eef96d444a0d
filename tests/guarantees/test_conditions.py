"""Conditions: one stream whoever computes it, and the law under them.

Bounds are fixed beforehand, as in test_law.py: a p-value above 10^-6 passes, and each negative
control must fall below.
"""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm
from thread_ranks import on_ranks

from distsim.chains.cpu import HostChain
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.engines import windows
from distsim.errors import InputError
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Communicator, Serial
from distsim.recording import digest
from distsim.recording.observation import Observation, Plan
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Collected
from distsim.studies import enumeration
from distsim.studies.small_networks import random_network
from distsim.studies.statistics import BOUND, chi_square

Floats = NDArray[np.float64]
NONE = Conditions.constant(1.0)


def drawn(dice: np.random.Generator, neurons: int, end: float, model: str) -> Conditions:
    """Conditions for a run that ends then, in steps for the bm."""
    count = int(dice.integers(1, 7))
    times = np.sort(dice.choice(np.arange(1, 1000), count - 1, replace=False)) / 1000 * end
    start = dice.random(9) * end
    stop = start + dice.random(9) * end
    start[0], stop[0] = 0.0, end / 3  # holds from the first window on
    if model == "bm":
        times, start, stop = np.ceil(times), np.floor(start), np.floor(stop) + 1
    times = np.unique(np.append(0.0, times))
    taus = np.exp(dice.normal(0.0, 0.7, times.size))
    if model == "bm":
        taus[dice.random(times.size) < 0.2] = 0.0
    clamped = np.flatnonzero(dice.random(neurons) < dice.choice([0.0, 0.1, 0.8]))
    held = dice.integers(0, 2, clamped.size).astype(np.uint8)
    neuron, bias = dice.integers(0, neurons, 9), dice.normal(0.0, 2.0, 9)
    few = int(dice.choice([0, 9]))
    return Conditions(times, taus, clamped, held, start[:few], stop[:few], neuron[:few], bias[:few])


def summed(
    config: Config, network: Any, conditions: Conditions, end: float, ranks: Communicator
) -> tuple[str, int, str]:
    """Digests and the number of events of a run with observables, by rank 0."""
    chain = open_chain(network, config, ranks, None, conditions)
    start = chain.shard.start(chain.initial, ranks)
    plan = Plan(
        frozenset({"energy", "best"}), network.neurons, end / 7, 1, np.empty(0, np.int64),
        chain.shard.unit, maxcut=False,
    )  # fmt: skip
    seen = Observation(plan, start)
    recorder = Recorder(None, end, None, seen)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    recorder.end(over=True)
    final = chain.final()
    assert chain.consistent(final)
    assert (final[conditions.clamped] == conditions.held).all()
    total = digest.text(recorder.total + digest.of_state(final))
    return total, recorder.transitions, seen.digest()


@pytest.mark.parametrize("model", ["mpm", "sequential", "random"])
def test_streams_do_not_depend_on_engines_and_ranks(model: str) -> None:
    """Under temperatures, clamps and stimuli, by race, relax and walk on 1, 2 and 3 ranks."""
    made = 0
    for case in range(8):
        dice = np.random.default_rng([case, len(model)])
        n = int(dice.choice([1, 7, 40, 90]))
        end = float(dice.choice([3.0, 30.0])) if model == "mpm" else 30.0 * n
        weights = dice.normal(0.0, 1.5 / np.sqrt(n), (n, n))
        kind: dict[str, Any] = {"model": "mpm", "time": end}
        if model != "mpm":
            weights = np.triu(weights, 1) + np.triu(weights, 1).T
            kind = {"model": "bm", "scan": model, "steps": int(end)}
        else:
            weights = weights + weights.T  # of which there is an energy; self-edges stay
        network = from_array(weights, dice.normal(0.0, 0.3, n))
        conditions = drawn(dice, n, end, str(kind["model"]))
        config = Config(
            network="array", seed=case, initial="random", observe="energy,best", device="cpu",
            replica=int(dice.choice([0, 1, 65535])), weight_bits=int(dice.choice([8, 32])), **kind,
        )  # fmt: skip
        found = set()
        for engine in ("race", "relax", "walk"):
            one = replace(config, engine=engine)
            found.add(summed(one, network, conditions, end, Serial()))
        for size, engine, storage in (
            (2, "relax", "dense"), (3, "race", "dense"), (3, "relax", "dense"),
            (2, "walk", "dense"), (2, "walk", "sparse"), (3, "walk", "sparse"),
        ):  # fmt: skip
            one = replace(config, engine=engine, storage=storage)
            asked = (one, network, conditions, end)
            found.add(on_ranks(size, partial(summed, *asked))[0])
        assert len(found) == 1, (case, found)
        made += found.pop()[1]
    assert made > 1000


@pytest.mark.parametrize("engine", ["race", "relax", "walk"])
@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_a_run_goes_on_under_its_conditions(model: str, engine: str) -> None:
    """From a checkpoint's position, inside a window or at its start, at any stop."""
    dice = np.random.default_rng(4)
    n, end = 30, 20.0 if model == "mpm" else 600.0
    weights = dice.normal(0.0, 0.3, (n, n))
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    network = from_array(weights)
    conditions = drawn(dice, n, end, model)
    while conditions.times.size < 4 or not conditions.start.size:
        conditions = drawn(dice, n, end, model)
    length: dict[str, Any] = {"time": end} if model == "mpm" else {"steps": int(end)}
    config = Config(network="array", model=model, engine=engine, device="cpu", **length)

    def run(stops: list[float]) -> tuple[str, int]:
        position = None
        for stop in [*stops, end]:
            states = None if position is None else position.states
            chain = open_chain(network, config, Serial(), states, conditions)
            recorder = Recorder(None, stop)
            if position is not None:
                chain.go_on(position)
                recorder.go_on(position.transitions, position.last, position.total)
            while not recorder.finished(chain.now()):
                chain.advance(recorder)
            final = chain.final()
            assert chain.consistent(final)
            position = chain.position(recorder)
        return digest.text(recorder.total + digest.of_state(final)), recorder.transitions

    whole = run([])
    assert whole[1] > 100
    changes = np.unique(np.concatenate([conditions.times[1:], conditions.turns]))
    stops = sorted({*dice.random(4) * end, *changes[changes < end][:4].tolist()})
    assert run([round(stop) for stop in stops] if model == "bm" else stops) == whole


def test_gpus_have_no_conditions_and_no_replicas_yet() -> None:
    network = from_array(np.zeros((3, 3)))
    config = Config(network="array", time=1.0, device="gpu")
    for one, conditions, what in (
        (config, tiled(1.0), "conditions"),
        (replace(config, replica=3), None, "replica 3"),
    ):
        with pytest.raises(InputError, match=f"^device gpu: given with {what}; allowed: cpu or"):
            open_chain(network, one, Serial(), None, conditions)


def test_replicas_differ_and_share_nothing() -> None:
    """Correlations of 64 replicas' states at one time are those of independent draws."""
    n, replicas = 400, 64
    network = from_array(np.zeros((n, n)))
    config = Config(network="array", model="bm", steps=n, seed=11, device="cpu")
    x = np.empty((replicas, n))
    for r in range(replicas):
        chain = open_chain(network, replace(config, replica=r), Serial())
        recorder = Recorder(None, float(n))
        while not recorder.finished(chain.now()):
            chain.advance(recorder)
        x[r] = 2.0 * chain.final() - 1.0
    products = (x @ x.T)[np.triu_indices(replicas, 1)] / np.sqrt(n)
    assert abs(products).max() < 5.5  # 2,016 standard normal numbers
    assert abs((products**2).mean() - 1.0) < 6.0 * np.sqrt(2.0 / products.size)


# ------------------------------------------------------------------------------------------ the law
SMALL = random_network(4, False, seed=3)
SYMMETRIC = random_network(4, True, seed=2)
COPIES, RUNS = 250, 40
TIMES = np.array([0.0, 0.5, 0.9, 1.4])
TAUS = np.array([1.0, 0.3, 2.0, 0.5])
START, STOP = np.array([0.2, 0.7, 0.7]), np.array([0.8, 1.0, 5.0])
NEURON, BIAS = np.array([0, 1, 2]), np.array([2.0, -1.5, 1.0])
CLAMPED, HELD = np.array([3]), np.array([1], np.uint8)


def tiled(factor: float) -> Conditions:
    """Of all copies: they do not see each other. factor: of the temperatures."""
    shifts = 4 * np.arange(COPIES)
    return Conditions(
        times=TIMES,
        taus=TAUS * factor,
        clamped=(CLAMPED[:, None] + shifts[:, None]).reshape(-1),
        held=np.repeat(HELD, COPIES),
        start=np.repeat(START, COPIES),
        stop=np.repeat(STOP, COPIES),
        neuron=(NEURON[:, None] + shifts).reshape(-1),
        bias=np.repeat(BIAS, COPIES),
    )


def counted(weights: Floats, config: Config, conditions: Conditions, ends: list[float]) -> Floats:
    """How often a copy is in each state at each of these times, [len(ends), 16]."""
    network = from_array(np.kron(np.eye(COPIES), weights))
    found = np.zeros((len(ends), 16))
    for seed in range(RUNS):
        chain = open_chain(network, replace(config, seed=seed), Serial(), None, conditions)
        collected = Collected()
        recorder = Recorder(None, ends[-1], collected)
        while not recorder.finished(chain.now()):
            chain.advance(recorder)
        recorder.flush()
        time, neuron, _ = collected.columns()
        for k, end in enumerate(ends):
            changes = np.bincount(neuron[time <= end], minlength=network.neurons)
            x = chain.initial ^ (changes & 1)
            numbers = x.reshape(COPIES, 4) @ (1 << np.arange(4))
            found[k] += np.bincount(numbers, minlength=16)
    return found


def mpm_laws(weights: Floats, ends: list[float]) -> Floats:
    """The law at each time from state 8 (neuron 3 is held): products of matrix exponentials."""
    edges = np.unique(np.concatenate([TIMES, START, STOP, ends, [0.0]]))
    law, laws = np.eye(16)[8], []
    for begin, end in pairwise(edges):
        bias = np.zeros(4)
        for start, stop, i, added in zip(START, STOP, NEURON, BIAS, strict=True):
            bias[i] += added * (start <= begin < stop)
        tau = TAUS[np.searchsorted(TIMES, begin, side="right") - 1]
        rates = enumeration.rates(weights, bias, tau)
        rates[:, CLAMPED] = 0.0
        law = law @ expm(enumeration.generator(rates) * (end - begin))
        if end in ends:
            laws.append(law)
    return np.array(laws)


@pytest.mark.parametrize("engine", ["relax", "walk"])
def test_the_law_of_an_mpm_at_fixed_times(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [0.4, 0.75, 1.2, 1.8]
    config = Config(network="array", time=ends[-1], engine=engine, device="cpu")
    wanted = mpm_laws(SMALL.weights, ends)

    def p_value(conditions: Conditions) -> float:
        return chi_square(counted(SMALL.weights, config, conditions, ends), wanted)

    assert p_value(tiled(1.0)) > BOUND
    assert p_value(tiled(1.1)) < BOUND
    if engine == "relax":  # windows that do not end at changes: conditions come late
        monkeypatch.setattr("distsim.laws.mcculloch_pitts.end_word", lambda *_: 2**64 - 1)
        assert p_value(tiled(1.0)) < BOUND


def test_the_law_of_a_bm_after_each_sweep_of_an_anneal() -> None:
    sweeps = 12
    n = 4 * COPIES
    config = Config(network="array", model="bm", sweeps=sweeps, device="cpu")
    taus = np.geomspace(3.0, 0.3, sweeps)
    weights = SYMMETRIC.weights
    law, laws = np.eye(16)[0], []
    for tau in taus:
        law = law @ enumeration.sweep(enumeration.flips(weights, np.zeros(4), tau))
        laws.append(law)
    ends = [float(n * (k + 1)) for k in range(sweeps)]
    for factor, passes in ((1.0, True), (1.1, False)):
        schedule = replace(NONE, times=n * np.arange(sweeps, dtype=float), taus=taus * factor)
        found = counted(weights, config, schedule, ends)
        assert (chi_square(found, np.array(laws)) > BOUND) == passes


def test_a_clamp_of_the_bm_is_conditioning() -> None:
    """Long after, free neurons have the conditional law of Boltzmann's."""
    config = Config(network="array", model="bm", sweeps=40, scan="random", device="cpu")
    clamped = replace(tiled(1.0), times=np.zeros(1), taus=np.ones(1), start=np.empty(0),
                      stop=np.empty(0), neuron=np.empty(0, np.int64), bias=np.empty(0))  # fmt: skip
    found = counted(SYMMETRIC.weights, config, clamped, [160.0 * COPIES])
    law = enumeration.boltzmann(SYMMETRIC.weights, np.zeros(4), 1.0)
    law[:8] = 0.0  # of states with neuron 3 armed
    assert chi_square(found, law[None] / law.sum()) > BOUND
    bound = enumeration.boltzmann(SYMMETRIC.weights, np.zeros(4), 1.1)
    bound[:8] = 0.0
    assert chi_square(found, bound[None] / bound.sum()) < BOUND


def test_windows_end_at_changes_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands at each change, with nothing left over."""
    monkeypatch.setattr(windows, "_WEIGHTS", 0)  # a stretch is one window
    dice = np.random.default_rng(1)
    times = np.append(0.0, np.sort(dice.random(20)))
    conditions = replace(NONE, times=times, taus=np.linspace(2.0, 0.5, 21))
    config = Config(network="array", time=1.0, engine="relax", device="cpu")
    chain = open_chain(from_array(dice.normal(0.0, 0.1, (50, 50))), config, Serial(), None,
                       conditions)  # fmt: skip
    assert isinstance(chain, HostChain)
    recorder, seen = Recorder(None, 1.0), set[Clock]()
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
        seen.add(chain.law.clock)
    assert set(times[1:].tolist()) <= {clock.high for clock in seen if clock.low == 0.0}
