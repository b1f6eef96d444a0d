"""Observables: what a plain loop makes of a run's events; the same bits however it runs."""

import json
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import launchers
import numpy as np
import pytest
from numpy.typing import NDArray
from processes import Run
from thread_ranks import on_ranks

from distsim.config.options import OBSERVABLES, Config
from distsim.config.sources import amend
from distsim.errors import InputError, OutputError
from distsim.files.events import EVENTS
from distsim.front.simulate import simulate
from distsim.networks.celegans import celegans
from distsim.ranks.communicator import Communicator, Serial
from distsim.recording import digest
from distsim.runs import checkpoint, simulation
from distsim.runs.results import Summary
from distsim.studies import enumeration
from distsim.studies.small_networks import Small, random_network

ALL = ",".join(OBSERVABLES)
WITHOUT_ENERGY = "activity,rates,occupation,moments,samples"


@pytest.fixture(scope="module")
def symmetric(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Files of a symmetric network with integer weights, and of a bias that no unit divides."""
    folder = tmp_path_factory.mktemp("network")
    network = celegans(symmetric=True)
    np.save(folder / "w.npy", network.rows(0, network.neurons))
    np.save(folder / "b.npy", np.random.default_rng(1).normal(0.0, 1.0, network.neurons))
    return {"network": str(folder / "w.npy"), "bias": str(folder / "b.npy")}


def contents(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """Every dataset of observables, and their digest."""
    found: dict[str, NDArray[Any]] = {}

    def take(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = node[()]

    with h5py.File(path) as file:
        file["observables"].visititems(take)
        return found, file.attrs["observables_digest"]


def events_of(path: Path) -> tuple[list[NDArray[Any]], NDArray[np.uint8]]:
    with h5py.File(path) as file:
        return [file["events"][name][:] for name in EVENTS], file["state/initial"][:]


# ------------------------------------------------------------------------- a plain loop


def plain_loop(
    path: Path, weights: NDArray[np.float64], bias: NDArray[np.float64], every: float, end: float
) -> dict[str, Any]:
    """All observables from the events of a file; every, end: in the unit of the events' times."""
    columns, x = events_of(path)
    events = list(zip(*(column.tolist() for column in columns), strict=True))
    neurons = x.size

    def energy() -> float:
        return float(-(x @ weights @ x) / 2 - bias @ x)

    found: dict[str, list[Any]] = {name: [] for name in (*OBSERVABLES, "mean_activity")}
    lowest, lowest_at, lowest_state = energy(), 0.0, x.copy()
    moments = np.zeros((neurons, neurons), np.int64)
    k = 0
    for d in range(1, int(end / every) + 1):
        begin, stop = (d - 1) * every, d * every
        fired, spent, now = np.zeros(neurons), np.zeros(neurons), begin
        while k < len(events) and events[k][0] <= stop:
            time, neuron, state = events[k]
            spent += x * (time - now)
            now = time
            x[neuron] = state
            fired[neuron] += state
            here = energy()
            if here < lowest - 1e-9:
                lowest, lowest_at, lowest_state = here, time, x.copy()
            k += 1
        spent += x * (stop - now)
        found["energy"].append(energy())
        found["activity"].append(x.sum() / neurons)
        found["mean_activity"].append(spent.sum() / (neurons * every))
        found["rates"].append(fired)
        found["occupation"].append(spent / every)
        found["samples"].append(np.packbits(x))
        moments += np.outer(x, x)
    return {**found, "moments": moments, "best": (lowest, lowest_at, lowest_state)}


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_observables_are_what_a_plain_loop_makes_of_the_events(
    model: str, symmetric: dict[str, Any], tmp_path: Path
) -> None:
    path, weights = tmp_path / "run.h5", np.load(symmetric["network"])
    neurons = len(weights)
    length: dict[str, Any] = {"time": 12.0} if model == "mpm" else {"sweeps": 150}
    every = 0.25 if model == "mpm" else 0.5
    summary = simulation.run(
        Config(model=model, **symmetric, tau=12.0, seed=5, observe=ALL, every=every,
               initial="random", output=str(path), **length),
        Serial(),
    )  # fmt: skip
    found, total = contents(path)
    step = 0.25 if model == "mpm" else 0.5 * neurons
    end = 12.0 if model == "mpm" else 150.0 * neurons
    wanted = plain_loop(path, weights, np.load(symmetric["bias"]), step, end)
    assert summary.transitions > 2000
    samples = len(wanted["energy"])
    assert summary.samples == samples == (48 if model == "mpm" else 300)
    np.testing.assert_array_equal(found["time"], np.arange(1, samples + 1) * every)
    for name in ("activity", "samples"):
        np.testing.assert_array_equal(found[name], wanted[name])
    np.testing.assert_array_equal(found["moments"], wanted["moments"])
    assert found["moments_count"] == samples
    assert found["moments_of"].tolist() == list(range(neurons))
    np.testing.assert_array_equal(found["rates"], np.array(wanted["rates"]) / every)
    for name in ("occupation", "mean_activity"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-12)
    # Weights are integers, biases are not: as exact as the sums of the plain loop.
    np.testing.assert_allclose(found["energy"], wanted["energy"], rtol=1e-12)
    lowest, lowest_at, state = wanted["best"]
    assert found["best/energy"] == pytest.approx(lowest, rel=1e-12)
    np.testing.assert_array_equal(found["best/state"], state)
    assert found["best/time"] == lowest_at / (1 if model == "mpm" else neurons)
    # What the summary says is of all samples.
    assert summary.energy == pytest.approx(np.mean(found["energy"]), rel=1e-12)
    assert summary.best_energy == found["best/energy"]
    assert summary.activity == pytest.approx(found["mean_activity"].mean(), rel=1e-12)
    assert summary.rate == pytest.approx(found["rates"].mean(), rel=1e-12)
    assert summary.cut is summary.best_cut is None
    assert summary.observables_digest == total
    assert total == digest.text(sum(digest.of_values(name, one) for name, one in found.items()))


def test_energies_of_integer_weights_are_exact(tmp_path: Path, symmetric: dict[str, Any]) -> None:
    path = tmp_path / "run.h5"
    run = Config(model="bm", network=symmetric["network"], tau=12.0, sweeps=40, every=0.1,
                 observe="energy,best", output=str(path))  # fmt: skip
    simulation.run(run, Serial())
    found, _ = contents(path)
    wanted = plain_loop(path, np.load(run.network), np.zeros(281), 28.1, 40 * 281)
    np.testing.assert_array_equal(found["energy"], wanted["energy"])
    assert found["best/energy"] == wanted["best"][0]


# ------------------------------------------------------------------------- one law


CASES: list[dict[str, Any]] = [
    {"model": "bm", "sweeps": 60, "observe": ALL, "every": 0.7, "tau": 12.0},
    {"model": "bm", "scan": "random", "transitions": 3000, "observe": ALL, "tau": 12.0},
    {"model": "mpm", "time": 6.0, "observe": ALL, "every": 0.1, "tau": 12.0, "weight_bits": 8},
    {"model": "mpm", "transitions": 3000, "observe": "best,energy", "every": 0.3, "tau": 12.0},
]


def run(case: dict[str, Any], path: Path, ranks: Communicator, **options: Any) -> Summary:
    config = Config(**{**case, "output": str(path), "overwrite": True, **options})
    return simulation.run(config, ranks)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["model"])
def test_observables_are_the_same_bits_however_the_run_is_made(
    case: dict[str, Any], symmetric: dict[str, Any], tmp_path: Path
) -> None:
    case = {**case, **symmetric, "initial": "random"}
    wanted = run(case, tmp_path / "wanted.h5", Serial())
    found, total = contents(tmp_path / "wanted.h5")
    assert wanted.samples
    path = tmp_path / "run.h5"
    for ranks, engine in ((1, "race"), (2, "relax"), (5, "relax"), (3, "race")):
        again = {**case, "engine": engine}
        summaries = on_ranks(ranks, partial(run, again, path))
        assert (summaries[0].digest, summaries[0].observables_digest) == (wanted.digest, total)
        assert summaries[0].best_energy == wanted.best_energy
        assert all(summary.samples is None for summary in summaries[1:])  # the root has them
        made, _ = contents(path)
        assert made.keys() == found.keys()
        for name, values in found.items():
            np.testing.assert_array_equal(made[name], values, err_msg=name)
    without = run(case, path, Serial(), events=False)
    assert (without.digest, without.observables_digest) == (wanted.digest, total)
    with h5py.File(path) as file:
        assert "events" not in file
        assert file["observables/time"].shape == (wanted.samples,)


@launchers.needs_mpirun
@pytest.mark.parametrize(
    "ranks", [3, *(pytest.param(n, marks=pytest.mark.gpu(n)) for n in (2, 3, 4))]
)
def test_observables_are_the_same_bits_on_several_ranks(
    ranks: int, request: pytest.FixtureRequest, symmetric: dict[str, Any], tmp_path: Path
) -> None:
    """By processes of their own, on CPUs or GPUs."""
    several = [{**case, **symmetric, "initial": "random"} for case in CASES]
    alone = [simulation.run(Config(**case, device="cpu"), Serial()) for case in several]
    ways = [("cpu", "relax", "auto")]
    if request.node.get_closest_marker("gpu"):
        ways = [("gpu", "relax", "nccl"), ("gpu", "relax", "peer"), ("gpu", "race", "nccl")]
    asked = [
        {**case, "device": device, "engine": engine, "exchange": exchange}
        for device, engine, exchange in ways
        for case in several
    ]
    made = launchers.observed(ranks, asked, tmp_path)
    assert made == [(one.digest, one.observables_digest) for one in alone] * len(ways)


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["model"])
def test_observables_of_a_gpu_are_the_same_bits(
    case: dict[str, Any], symmetric: dict[str, Any], tmp_path: Path
) -> None:
    """Also where a run begins on one device and goes on on the other."""
    case = {**case, **symmetric, "initial": "random"}
    wanted = run({**case, "device": "cpu"}, tmp_path / "wanted.h5", Serial())
    found, total = contents(tmp_path / "wanted.h5")
    name = next(name for name in LENGTHS if name in case)
    path, saved_at = tmp_path / "run.h5", str(tmp_path / "run.ck")
    for engine in ("relax", "race"):
        made = run({**case, "engine": engine, "device": "gpu"}, path, Serial())
        assert (made.digest, made.observables_digest) == (wanted.digest, total)
        again, _ = contents(path)
        for dataset, values in found.items():
            np.testing.assert_array_equal(again[dataset], values, err_msg=dataset)
    for first, second in (("gpu", "cpu"), ("cpu", "gpu")):
        half = {**case, name: type(case[name])(case[name] * 0.43), "device": first}
        run(half, path, Serial(), checkpoint=saved_at)
        saved = checkpoint.read(saved_at, Serial())
        longer = amend(saved_at, saved.config, {}, {name: case[name], "device": second})
        last = simulation.run(longer, Serial(), saved=saved)
        assert (last.digest, last.observables_digest) == (wanted.digest, total)


LENGTHS = ("transitions", "time", "sweeps")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["model"])
@pytest.mark.parametrize("events", [True, False])
def test_observables_go_on_where_a_run_is_resumed(
    case: dict[str, Any], events: bool, symmetric: dict[str, Any], tmp_path: Path
) -> None:
    """Twice, inside windows: with another engine, on other ranks."""
    case = {**case, **symmetric, "initial": "random", "events": events}
    wanted = run(case, tmp_path / "wanted.h5", Serial())
    found, total = contents(tmp_path / "wanted.h5")
    name = next(name for name in LENGTHS if name in case)
    saved_at, path = str(tmp_path / "run.ck"), tmp_path / "run.h5"
    kind = type(case[name])
    run({**case, name: kind(case[name] * 0.31)}, path, Serial(), checkpoint=saved_at)

    def resume(ranks: Communicator, engine: str, length: Any) -> Summary:
        saved = checkpoint.read(saved_at, ranks)
        return simulation.run(
            amend(saved_at, saved.config, {}, {"engine": engine, name: length}), ranks, saved=saved
        )

    on_ranks(2, lambda ranks: resume(ranks, "race", kind(case[name] * 0.77)))
    last = resume(Serial(), "relax", case[name])
    assert (last.digest, last.observables_digest) == (wanted.digest, total)
    again, _ = contents(path)
    for dataset, values in found.items():
        np.testing.assert_array_equal(again[dataset], values, err_msg=dataset)


def test_observables_of_a_killed_run_go_on(tmp_path: Path) -> None:
    options = [
        "--network",
        "gaussian",
        "--neurons",
        "300",
        "--observe",
        WITHOUT_ENERGY,
        "--every",
        "0.01",
    ]
    saving = ["--checkpoint", "run.ck", "--checkpoint-every", "1000 events", "--output", "run.h5"]
    going = Run(tmp_path, *options, "--transitions", "1e12", *saving)
    going.wait_for(tmp_path / "run.ck.previous")
    going.signal(0, signal.SIGKILL)
    assert going.end().status == -9
    done = Run(tmp_path, "resume", "run.ck", "--max-time", "0.3", "--json").end()
    assert done.status == 85, done
    count = done.summary["transitions"]
    done = Run(tmp_path, "resume", "run.ck", "--transitions", count + 1000, "--json").end()
    wanted = simulation.run(
        Config(
            network="gaussian",
            neurons=300,
            transitions=count + 1000,
            observe=WITHOUT_ENERGY,
            every=0.01,
        ),
        Serial(),
    )
    for name in ("digest", "observables_digest", "samples", "activity", "rate"):
        assert done.summary[name] == getattr(wanted, name)


def test_a_run_resumes_only_with_the_samples_that_it_made(
    tmp_path: Path, symmetric: dict[str, Any]
) -> None:
    path, saved_at = tmp_path / "run.h5", str(tmp_path / "run.ck")
    case = {**CASES[2], **symmetric, "time": 1.0}
    run(case, path, Serial(), checkpoint=saved_at)
    with h5py.File(path, "r+") as file:
        file["observables/activity"][3] += 1.0
    saved = checkpoint.read(saved_at, Serial())
    with pytest.raises(InputError, match=r"other observables given, digest .*; allowed: the event"):
        simulation.run(amend(saved_at, saved.config, {}, {"time": 2.0}), Serial(), saved=saved)


# ------------------------------------------------------------------------- the law


BATCHES, BOUND = 25, 7.0  # |t| of 24 degrees of freedom: 3e-7 on both sides


def deviations(values: NDArray[np.float64], wanted: Any) -> NDArray[np.float64]:
    """How many standard errors the mean over time, float64[D, ...], is off, by means of batches."""
    batches = np.array([part.mean(axis=0) for part in np.array_split(values, BATCHES)])
    error = batches.std(axis=0, ddof=1) / np.sqrt(BATCHES)
    off: NDArray[np.float64] = np.abs(batches.mean(axis=0) - wanted) / error
    return off


def exact(small: Small, model: str, tau: float) -> dict[str, Any]:
    """Expectations in the stationary law, by enumeration."""
    x = enumeration.states(small.bias.size)
    if model == "bm":
        law = enumeration.boltzmann(small.weights, small.bias, tau)
    else:
        generator = enumeration.generator(enumeration.rates(small.weights, small.bias, tau))
        law = np.linalg.svd(generator.T)[2][-1]
        law = law / law.sum()
    energy = -np.einsum("ki,ij,kj->k", x, small.weights, x) / 2 - x @ small.bias
    return {
        "energy": law @ energy,
        "mean_activity": (law @ x).mean(),
        "occupation": law @ x,
        "moments": np.einsum("k,ki,kj->ij", law, x, x),
    }


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_means_are_those_of_the_law(model: str, tmp_path: Path) -> None:
    small, tau = random_network(5, True, seed=4), 1.0
    np.save(tmp_path / "w.npy", small.weights)
    np.save(tmp_path / "b.npy", small.bias)
    length: dict[str, Any] = {"time": 40_000.0} if model == "mpm" else {"sweeps": 60_000}
    summary = simulation.run(
        Config(model=model, network=str(tmp_path / "w.npy"), bias=str(tmp_path / "b.npy"), tau=tau,
               observe="energy,activity,occupation,samples,moments", events=False,
               output=str(tmp_path / "run.h5"), **length),
        Serial(),
    )  # fmt: skip
    found, _ = contents(tmp_path / "run.h5")
    x = np.unpackbits(found["samples"], axis=1, count=5).astype(float)
    products = np.einsum("di,dj->dij", x, x)
    np.testing.assert_array_equal(found["moments"], products.sum(axis=0))
    seen = {name: found[name] for name in ("energy", "mean_activity", "occupation")}
    seen["moments"] = products
    wanted, wrong = exact(small, model, tau), exact(small, model, 1.1 * tau)
    worst = {name: deviations(seen[name], wanted[name]).max() for name in seen}
    control = {name: deviations(seen[name], wrong[name]).max() for name in seen}
    assert max(worst.values()) < BOUND, worst
    assert min(control.values()) > BOUND, control
    assert summary.energy == pytest.approx(seen["energy"].mean())


# ------------------------------------------------------------------------- MaxCut


def test_the_best_cut_of_a_graph_is_that_of_its_state(tmp_path: Path) -> None:
    graph = np.random.default_rng(2)
    edges = [(i, j) for i in range(1, 41) for j in range(i + 1, 41) if graph.random() < 0.2]
    weights = graph.integers(-2, 3, len(edges))
    lines = [
        f"40 {len(edges)}",
        *(f"{i} {j} {w}" for (i, j), w in zip(edges, weights, strict=True)),
    ]
    (tmp_path / "graph.txt").write_text("\n".join(lines) + "\n")
    path = tmp_path / "run.h5"
    summary = simulation.run(
        Config(model="bm", network=str(tmp_path / "graph.txt"), tau=1.5, sweeps=300,
               observe="energy,best", output=str(path)),
        Serial(),
    )  # fmt: skip
    found, _ = contents(path)
    state = found["best/state"]
    cut = sum(
        int(w) for (i, j), w in zip(edges, weights, strict=True) if state[i - 1] != state[j - 1]
    )
    assert found["best/cut"] == summary.best_cut == cut
    np.testing.assert_array_equal(found["cut"], -found["energy"] / 2)
    assert summary.cut == pytest.approx(found["cut"].mean())
    assert cut >= found["cut"].max()


# ------------------------------------------------------------------------- bad input


ENDLESS = {
    "observe": "rates",
    "every": 2**-17,
    "transitions": None,
    "time": 1e6,
    "output": "run.h5",
}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"observe": "enrgy"}, "observe: 'enrgy' given; allowed: one or more of energy, activity"),
    ({"observe": "rates", "every": 0}, "every: 0 given; allowed: a finite number above 0"),
    ({"observe": "rates", "every": -1}, "every: -1 given; allowed: a finite number above 0"),
    ({"every": 2.0}, "every: given, but nothing to observe; allowed: with --observe NAME,"),
    ({"observe": "rates", "moments_of": "0:3"}, "moments_of: given, but no moments are observed"),
    ({"observe": "moments", "moments_of": "3:3"}, "moments_of: '3:3' given; allowed: FROM:TO, or"),
    ({"observe": "moments", "moments_of": "1,1"}, "moments_of: '1,1' given; allowed: .*each once"),
    (
        {"observe": "moments", "moments_of": "2,281"},
        "--moments-of: neuron 281 given; allowed: 0 to",
    ),
    ({"observe": "moments", "moments_of": "0:1e12"}, "--moments-of: neuron 999999999999 given"),
    ({"observe": [["energy"]]}, "allowed: one or more of energy, activity"),
    ({"observe": {"energy": False}}, "allowed: one or more of energy, activity"),
    ({"observe": "moments", "moments_of": range(0, 10**10, 2)}, "or names of neurons, .* at most"),
    (
        {"observe": "rates", "every": 1e-300, "transitions": None, "time": 1e300},
        "--every: 1e-300 given, inf samples; allowed: up to",
    ),
    (
        {"observe": "best,energy"},
        r"observe: best and energy given, but no energy exists: W of .* is not symmetric; first "
        r"pair: W\[\d+, \d+\] = .*, W\[\d+, \d+\] = .*; allowed: what needs none",
    ),
    (
        ENDLESS,
        r"output run.h5: 131,072,000,000 samples of .* by --every 7.62939e-06 given, a file of "
        r".*; allowed: .*, what is free on its disk",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_observed_is_refused(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def refused(ranks: Communicator) -> None:
        with pytest.raises(InputError, match=message):
            simulation.run(Config(**{"network": "celegans", "transitions": 10, **options}), ranks)

    refused(Serial())
    on_ranks(2, refused)
    assert not list(tmp_path.iterdir())


def test_samples_that_never_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a length in transitions nobody knows beforehand how many there are."""
    message = "more than 1,000 samples between events by every 1e-09; allowed: fewer, by a larger"
    monkeypatch.setattr("distsim.recording.observation._MOST_AT_ONCE", 1000)
    case = Config(observe="activity", every=1e-9, transitions=30_000, output=str(tmp_path / "a.h5"))
    with pytest.raises(OutputError, match=message):
        simulation.run(case, Serial())
    with pytest.raises(InputError, match=message):
        simulate("celegans", observe="activity", every=1e-9, transitions=3000)


def test_a_run_that_goes_on_needs_room_for_new_samples_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, symmetric: dict[str, Any]
) -> None:
    saved_at = str(tmp_path / "run.ck")
    case = {**CASES[2], **symmetric, "time": 3.0}
    run(case, tmp_path / "run.h5", Serial(), checkpoint=saved_at)
    free = shutil._ntuple_diskusage(10**6, 10**6, 10_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: free)
    saved = checkpoint.read(saved_at, Serial())
    for time, fits in ((3.1, True), (30.0, False)):
        longer = amend(saved_at, saved.config, {}, {"time": time})
        if fits:
            assert simulation.run(longer, Serial(), saved=saved).samples == 31
            continue
        with pytest.raises(InputError, match=r"300 samples of .* allowed: 9\.766 KiB"):
            simulation.run(longer, Serial(), saved=saved)


def test_a_wide_network_says_whose_moments_it_can_observe() -> None:
    run = Config(network="gaussian", neurons=5000, transitions=1, observe="moments")
    with pytest.raises(InputError, match="moments of all 5,000 neurons given; allowed: of up to"):
        simulation.run(run, Serial())


def test_the_summary_in_json_has_the_observables(tmp_path: Path, symmetric: dict[str, Any]) -> None:
    options = ("--model", "bm", "--network", symmetric["network"], "--sweeps", 20, "--T", 12)
    done = Run(tmp_path, *options, "--observe", "energy,best", "--no-events", "--json").end()
    assert done.status == 0, done
    line = json.loads(done.out.splitlines()[-1])
    assert line["samples"] == 20
    assert line["best_energy"] <= line["energy"] < 0 < line["activity"]
    assert f"observed 20 samples, energy {line['energy']:.6g}, best energy" in done.out
