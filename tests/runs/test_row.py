"""Chains side by side, by layers: the streams are those of chains one after the other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thread_ranks import Moment, on, on_ranks

from distsim.chains import abreast, layers
from distsim.chains.chain import at_start
from distsim.config.options import Config
from distsim.config.sources import amend
from distsim.errors import InputError
from distsim.files import chains
from distsim.ranks import agreement
from distsim.ranks.communicator import Communicator, Serial
from distsim.runs import checkpoint, simulation
from distsim.runs.results import Summary
from distsim.weights import fitting

OBSERVED = {"observe": "energy,activity,rates,occupation,samples,moments,best", "every": 0.7}
CASES: dict[str, dict[str, Any]] = {
    "observed": {"sweeps": 12, "weight_bits": 8, **OBSERVED},
    "transitions": {"transitions": 700, "weight_bits": 16},
    "inside a sweep": {"steps": 5 * 131 + 17, **OBSERVED},
    "anneal": {"sweeps": 9, "tau": "3:0.01"},
    "clamped": {"sweeps": 9, "weight_bits": 8, "clamp": "3=1,100=0", **OBSERVED},
    "at rest": {"sweeps": 6, "weight_bits": 8, "tau": 0.0},
    "cold": {"sweeps": 30, "weight_bits": 8, "tau": 1e-4},
    "hot": {"sweeps": 3, "weight_bits": 8, "tau": 1e6},
}
COUNT = 9


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A deep one, of layers of 70, 41 and 20 neurons, with biases."""
    rng = np.random.default_rng(1)
    W = np.zeros((131, 131))
    W[:70, 70:111] = rng.normal(0.0, 0.3, (70, 41))
    W[70:111, 111:] = rng.normal(0.0, 0.3, (41, 20))
    path = tmp_path_factory.mktemp("row") / "deep.npz"
    np.savez(path, weights=W + W.T, bias=rng.normal(0.0, 0.5, 131))
    return str(path)


@pytest.fixture
def at_every_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_EVERY", 0.0)
    monkeypatch.setattr(agreement, "_EVERY_OF_GROUPS", 0.0)
    monkeypatch.setattr(abreast, "_SECONDS", 0.0)


def options(machine: str, name: str, **others: Any) -> dict[str, Any]:
    given = {"network": machine, "model": "bm", "chains": COUNT, "initial": "random", "seed": 5}
    return {**given, **CASES[name], **others}


def run(path: Path, ranks: int = 1, **given: Any) -> tuple[Summary, chains.Chains]:
    config = Config(**given, events=True, output=str(path), overwrite=True)
    return on(ranks, lambda ranks: simulation.run(config, ranks)), chains.read(str(path))


def same(found: chains.Chains, wanted: chains.Chains) -> None:
    assert found.digests == wanted.digests
    assert found.observables_digests == wanted.observables_digests
    for name in ("initial", "final", "chain", "time", "neuron", "state"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_layers_make_the_streams_of_the_walk(name: str, machine: str, tmp_path: Path) -> None:
    _, wanted = run(tmp_path / "walk.h5", **options(machine, name, engine="walk"))
    for ranks in (1, 2, 3):
        given = options(machine, name, engine="layers")
        summary, found = run(tmp_path / "layers.h5", ranks, **given)
        assert (summary.engine, summary.consistent) == ("layers", True)
        same(found, wanted)


@pytest.mark.parametrize("name", ["observed", "transitions", "inside a sweep"])
@pytest.mark.usefixtures("at_every_sweep")
def test_they_go_on_by_any_engine(name: str, machine: str, tmp_path: Path) -> None:
    """From layers to other ranks, to a walk that stops inside a sweep, and to layers again."""
    _, wanted = run(tmp_path / "walk.h5", **options(machine, name, engine="walk"))
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    given = options(machine, name, engine="layers", output=path, checkpoint=saved_at, events=True)
    one: Any = Moment(2)
    first = simulation.run(Config(**given), Serial(), signals=one)
    assert first.stopped is not None
    assert len(first.each) == COUNT

    def resume(ranks: Communicator, engine: str, looks: int | None) -> Summary:
        saved = checkpoint.read(saved_at, ranks)
        moment: Any = None if looks is None else Moment(looks)
        settings = amend(saved_at, saved.config, {}, {"engine": engine})
        return simulation.run(settings, ranks, signals=moment, saved=saved)

    for ranks, engine in ((2, "layers"), (1, "walk"), (3, "layers")):
        found = on(ranks, lambda ranks, engine=engine: resume(ranks, engine, 2))  # type: ignore[misc]
        assert found.stopped is not None
    last = on(2, lambda ranks: resume(ranks, "layers", None))
    assert (last.stopped, last.consistent) == (None, True)
    same(chains.read(path), wanted)


def test_chains_that_had_not_begun_begin(machine: str, tmp_path: Path) -> None:
    """Beside one that stands at its start."""
    _, wanted = run(tmp_path / "walk.h5", **options(machine, "cold", engine="walk"))
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    given = options(machine, "cold", engine="layers", output=path, checkpoint=saved_at, events=True)
    simulation.run(Config(**given), Serial())
    saved = checkpoint.read(saved_at, Serial())
    start = replace(saved.chains[0], position=at_start(wanted.initial[0]), transitions=0, time=0.0)
    saved = replace(saved, chains={0: start})
    settings = amend(saved_at, saved.config, {}, {"overwrite": True})
    found = simulation.run(settings, Serial(), saved=saved)
    assert (found.engine, found.stopped) == ("layers", None)
    same(chains.read(path), wanted)


def test_auto_takes_layers_for_many_chains_of_large_ones(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(**others: Any) -> str:
        return simulation.run(Config(**options(machine, "cold", **others)), Serial()).engine

    assert engine() == "walk"  # of 44 neurons a layer
    monkeypatch.setattr(layers, "_NEURONS", 40)
    assert engine() == "layers"
    assert engine(chains=7) == "walk"
    assert engine(scan="random") == "walk"


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"model": "mpm", "time": 1.0}, r"engine: layers given for the mpm; allowed: for several"),
        (
            {"scan": "random"},
            r"engine: layers given for a random scan; allowed: for sev",
        ),
        (
            {"chains": 1},
            r"engine: layers given for 1 chain; allowed: for several chains \(--ch",
        ),
        ({"temper": "1:2"}, r"engine: layers given for tempering; allowed: for several chains"),
    ],
)
def test_options_without_layers_are_refused(given: dict[str, Any], match: str) -> None:
    length = {} if "time" in given else {"sweeps": 5}
    with pytest.raises(InputError, match=match):
        Config(**{"network": "hopfield", "model": "bm", "chains": 3, **length, **given},
               engine="layers")  # fmt: skip


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"storage": "sparse"}, r"engine layers: given with sparse weights; allowed: dense ones"),
        (
            {"tau_schedule": "0.5"},
            r"engine layers: given with temperatures that change inside a",
        ),
        ({"stimulus": "1,2,3,0.5"}, r"engine layers: given with a stimulus; allowed: without, or"),
        ({"ranks_per_chain": 2}, r"engine layers: given with 2 ranks a chain; allowed: 1, or ano"),
    ],
)
def test_chains_that_layers_cannot_have_are_refused_on_every_rank(
    given: dict[str, Any], match: str, machine: str, tmp_path: Path
) -> None:
    tables = {"tau_schedule": "time,tau\n0,1\n0.5,2\n", "stimulus": "start,stop,neuron,bias\n"}
    for name in tables.keys() & given.keys():
        path = tmp_path / f"{name}.csv"
        path.write_text(tables[name] + (given[name] + "\n") * (name == "stimulus"))
        given = {**given, name: str(path)}
    config = Config(**options(machine, "observed", engine="layers", **given))

    def refused(ranks: Communicator) -> bool:
        with pytest.raises(InputError, match=match):
            simulation.run(config, ranks)
        return True

    assert all(on_ranks(2, refused))


def test_layers_beyond_memory_are_refused(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(**options(machine, "cold", engine="layers"))
    monkeypatch.setattr(layers, "available", lambda: 1000)
    with pytest.raises(InputError, match=r"engine layers: 9 chains of 131 neurons given, 105 KiB"):
        simulation.run(config, Serial())
    assert fitting.available() > 1000
