"""Several chains on a GPU, as a run has them: the streams of the CPU, stopped, resumed, moved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thread_ranks import Moment

from distsim.config.options import Config
from distsim.config.sources import amend
from distsim.ranks import agreement
from distsim.ranks.communicator import Serial
from distsim.runs import checkpoint, simulation
from distsim.runs.results import Summary

pytestmark = pytest.mark.gpu

COUNT = 37
MPM: dict[str, Any] = {"network": "gaussian", "neurons": 150, "coupling": 2.0, "weight_bits": 16}
BM: dict[str, Any] = {**MPM, "model": "bm", "weight_bits": 8}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "time": ("walk", {**MPM, "time": 7.3}),
    "transitions": ("walk", {**MPM, "transitions": 5000, "weight_bits": 32}),
    "ramp": ("walk", {**MPM, "time": 8.0, "tau": "2:0.3:linear:7", "clamp": "3=1,100=0"}),
    "a tau a chain": ("walk", {**MPM, "time": 4.0, "tau": ",".join(["0.5"] * 36 + ["2"])}),
    "sweeps": ("resident", {**BM, "sweeps": 40}),
    "steps": ("resident", {**BM, "steps": 4000, "weight_bits": 16}),
    "flips": ("resident", {**BM, "transitions": 2000}),
    "anneal": ("resident", {**BM, "sweeps": 30, "tau": "3:0.05", "clamp": "3=1,100=0"}),
    "at rest": ("resident", {**BM, "sweeps": 9, "tau": 0.0}),
    "rbm": ("layers", {"model": "bm", "weight_bits": 8, "sweeps": 25}),
    "large": ("blocks", {**BM, "neurons": 2100, "sweeps": 3, "coupling": 1.0}),
}


@pytest.fixture(scope="module")
def rbm(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(1)
    W = np.zeros((230, 230))
    W[:130, 130:] = rng.normal(0.0, 0.2, (130, 100))
    path = tmp_path_factory.mktemp("rbm") / "rbm.npz"
    np.savez(path, weights=W + W.T, bias=rng.normal(0.0, 0.5, 230))
    return str(path)


def options(name: str, rbm: str, **others: Any) -> dict[str, Any]:
    given = {"network": rbm, "chains": COUNT, "initial": "random", "seed": 5}
    return {**given, **CASES[name][1], **others}


def digests(summary: Summary) -> list[str]:
    return [one["digest"] for one in summary.each]


@pytest.mark.parametrize("name", CASES)
def test_they_are_those_of_the_cpu(name: str, rbm: str) -> None:
    wanted = simulation.run(Config(**options(name, rbm, device="cpu")), Serial())
    found = simulation.run(Config(**options(name, rbm, device="gpu")), Serial())
    assert (found.device, found.engine, found.consistent) == ("gpu", CASES[name][0], True)
    assert digests(found) == digests(wanted)
    assert (found.transitions, found.time) == (wanted.transitions, wanted.time)


@pytest.mark.parametrize("name", ["time", "ramp", "transitions", "sweeps", "anneal", "rbm"])
def test_they_move_between_gpu_and_cpu(
    name: str, rbm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "_EVERY_OF_GROUPS", 0.0)
    wanted = simulation.run(Config(**options(name, rbm, device="cpu")), Serial())
    saved_at = str(tmp_path / "run.ck")
    given = options(name, rbm, device="gpu", checkpoint=saved_at)
    moment: Any = Moment(2)
    assert simulation.run(Config(**given), Serial(), signals=moment).stopped is not None
    for device, looks in (("gpu", 2), ("cpu", 3), ("gpu", None)):
        saved = checkpoint.read(saved_at, Serial())
        settings = amend(saved_at, saved.config, {}, {"device": device})
        moment = None if looks is None else Moment(looks)
        last = simulation.run(settings, Serial(), signals=moment, saved=saved)
    assert last.stopped is None
    assert digests(last) == digests(wanted)
