"""Chains that swap temperatures: the same on any ranks, stopped and resumed; what is told of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thread_ranks import Moment, on

from distsim import simulate
from distsim.config.options import Config
from distsim.config.sources import amend
from distsim.errors import InputError
from distsim.files import chains
from distsim.networks.matrices import from_array
from distsim.ranks import agreement
from distsim.ranks.communicator import Communicator, Serial
from distsim.runs import checkpoint, simulation
from distsim.runs.conditions import ladder
from distsim.runs.report import summary as told
from distsim.runs.results import Summary
from distsim.runs.tempered import interval

NETWORK: dict[str, Any] = {
    "network": "hopfield", "neurons": 30, "patterns": 3, "initial": "random", "chains": 5,
    "temper": "0.02:0.5",
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "mpm": {**NETWORK, "time": 7.3, "swap_every": 0.7, "observe": "energy", "every": 0.5},
    "bm": {
        **NETWORK, "model": "bm", "sweeps": 25, "swap_every": 1.5, "scan": "random",
        "observe": "energy,activity", "clamp": "0=1,7=0",
    },
}  # fmt: skip


def equal(one: chains.Chains, other: chains.Chains) -> None:
    assert one.digest == other.digest
    assert one.observables_digest == other.observables_digest
    assert one.tempering.keys() == other.tempering.keys()
    for name, values in one.tempering.items():
        np.testing.assert_array_equal(values, other.tempering[name])


@pytest.mark.parametrize("name", CASES)
def test_any_ranks_swap_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_EVERY", 0.0)
    monkeypatch.setattr(agreement, "_EVERY_OF_GROUPS", 0.0)
    path, saved_at = str(tmp_path / "one.h5"), str(tmp_path / "run.ck")
    summary = simulation.run(Config(**CASES[name], output=path), Serial())
    whole = chains.read(path)
    assert summary.consistent
    assert summary.tau == CASES[name]["temper"]
    tempering = summary.tempering
    assert tempering is not None
    assert tempering["rounds"] == (10 if name == "mpm" else 16)
    assert sorted(tempering["chains"]) == list(range(5))
    assert whole.tempering["accepted"].sum() > 5
    assert (np.sort(whole.tempering["rung"], axis=1) == np.arange(5)).all()
    moved = (whole.tempering["rung"][1:] != whole.tempering["rung"][:-1]).sum()
    assert moved == 2 * whole.tempering["accepted"].sum()

    for ranks, together in ((2, 1), (3, 1), (2, 2)):
        other = str(tmp_path / f"{ranks}{together}.h5")
        config = Config(**CASES[name], ranks_per_chain=together, output=other)
        on(ranks, lambda ranks, config=config: simulation.run(config, ranks))  # type: ignore[misc]
        equal(chains.read(other), whole)

    # Stopped after some rounds, gone on with elsewhere; stopped again; to its end; nothing left.
    other = str(tmp_path / "resumed.h5")
    config = Config(**CASES[name], output=other, checkpoint=saved_at)
    one: Any = Moment(4)
    assert simulation.run(config, Serial(), signals=one).stopped is not None

    def resume(ranks: Communicator, together: int, looks: int | None) -> Summary:
        saved = checkpoint.read(saved_at, ranks)
        moment: Any = None if looks is None else Moment(looks)
        settings = amend(saved_at, saved.config, {}, {"ranks_per_chain": together})
        return simulation.run(settings, ranks, signals=moment, saved=saved)

    assert on(2, lambda ranks: resume(ranks, 2, 3)).stopped is not None
    assert on(3, lambda ranks: resume(ranks, 1, None)).stopped is None
    equal(chains.read(other), whole)
    assert on(2, lambda ranks: resume(ranks, 1, None)).digest == whole.digest


@pytest.mark.parametrize(("name", "first"), [("mpm", 2.1), ("mpm", 2.5), ("bm", 3), ("bm", 4)])
def test_a_run_is_prolonged(name: str, first: float, tmp_path: Path) -> None:
    """From a round's end, where a swap is due, and from inside a round."""
    length = "time" if name == "mpm" else "sweeps"
    options = {**CASES[name], "observe": None, "every": None}
    saved_at, path = str(tmp_path / "run.ck"), str(tmp_path / "run.h5")
    short = {**options, length: first, "checkpoint": saved_at, "output": path}
    simulation.run(Config(**short), Serial())
    saved = checkpoint.read(saved_at, Serial())
    more = amend(saved_at, saved.config, {}, {length: options[length]})
    simulation.run(more, Serial(), saved=saved)
    whole = str(tmp_path / "whole.h5")
    simulation.run(Config(**options, output=whole), Serial())
    equal(chains.read(path), chains.read(whole))


def test_rungs_from_python() -> None:
    """By rung energies rise with the temperature; a chain's own do not."""
    dice = np.random.default_rng(2)
    half = np.triu(dice.normal(0.0, 0.3, (40, 40)), 1)
    options: dict[str, Any] = {"model": "bm", "sweeps": 300, "observe": ["energy", "samples"]}
    result = simulate(half + half.T, chains=4, temper="0.3:3", **options)
    energies = result.by_rung("energy")
    assert energies.shape == result.energy.shape == (4, 300)
    assert (np.diff(energies.mean(axis=1)) > 0).all()
    np.testing.assert_array_equal(np.sort(energies, axis=0), np.sort(result.energy, axis=0))
    assert result.by_rung("samples").shape == result.observables["samples"].shape
    text = told(result.summary, None)
    assert "swaps    299 rounds, " in text
    assert "rungs    at the end, from 0.3 to 3, the chains " in text
    assert simulate(half + half.T, chains=4, temper="0.3:3", ranks=2, **options).digest == (
        result.digest
    )
    alone = simulate(half + half.T, **options)
    with pytest.raises(InputError, match="by_rung: energy, of chains that swap no temperatures"):
        alone.by_rung("energy")


def test_ladders(tmp_path: Path) -> None:
    config = Config(**CASES["mpm"])
    np.testing.assert_allclose(ladder(config), np.geomspace(0.02, 0.5, 5), rtol=1e-15)
    path = tmp_path / "rungs.csv"
    path.write_text("tau\n1\n2.5\n", encoding="utf-8")
    config = Config(**{**CASES["mpm"], "temper": str(path), "chains": 2})
    assert ladder(config).tolist() == [1.0, 2.5]
    for text, match in (
        ("tau\n1\n", r"1 temperatures given for 2 chains; allowed: one each"),
        ("tau\n1\n0\n", r"line 3: tau '0' given; allowed: finite numbers above 0"),
        ("T\n1\n", r"columns 'T' given; allowed: tau"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=match):
            ladder(config)
    network = from_array(np.zeros((10, 10)))
    sweeps = {**CASES["bm"], "swap_every": 0.1}
    assert interval(Config(**sweeps), network) == 1.0  # and no step more, exactly


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"chains": 1}, r"temper: 0.02:0.5 given for 1 chain; allowed: 2 or more"),
        ({"tau": 2.0}, r"temper: 0.02:0.5 given beside tau, a tau_schedule or a stimulus"),
        ({"stimulus": "s.csv"}, r"temper: .* beside tau, a tau_schedule or a stimulus"),
        ({"temper": "0:1"}, r"temper: '0:1' given; allowed: FROM:TO, two finite numbers above 0"),
        ({"temper": None}, r"swap_every: 0.7 given, but nothing swaps; allowed: with --temper"),
        ({"swap_every": 0}, r"swap_every: 0 given; allowed: a finite number above 0"),
        (
            {"time": None, "transitions": 10, "observe": None, "every": None},
            r"temper: 0.02:0.5 given for a length in transitions; allowed: a length in time",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Config(**{**CASES["mpm"], **options})


def test_an_asymmetric_network_has_no_energy_to_swap_by() -> None:
    with pytest.raises(
        InputError, match=r"^temper: 1:2 given, but no energy exists: .* not symmetric"
    ):
        simulate(np.triu(np.ones((5, 5))), chains=2, temper="1:2", time=3.0)
