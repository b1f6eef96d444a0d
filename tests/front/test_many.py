"""Several chains from Python: arrays with a leading axis, each chain as if it had run alone."""

import json
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest

import distsim
from distsim import InputError, read, simulate, stream
from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.ranks import agreement

N = 24
W = np.random.default_rng(5).normal(0, 0.5, (N, N))
OPTIONS: dict[str, Any] = {
    "tau": 2.0, "time": 4.0, "observe": ["activity", "samples", "moments"], "every": 0.5,
    "initial": "random", "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def alone() -> list[distsim.Result]:
    return [simulate(W, **OPTIONS, replica=r) for r in range(3)]


def same(found: distsim.Result, wanted: distsim.Result) -> None:
    assert (found.digest, found.observables_digest) == (wanted.digest, wanted.observables_digest)
    for name in ("initial", "final"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert found.observables.keys() == wanted.observables.keys()
    for name, values in wanted.observables.items():
        np.testing.assert_array_equal(found.observables[name], values, err_msg=name)


def test_arrays_have_a_leading_axis(alone: list[distsim.Result]) -> None:
    result = simulate(W, **OPTIONS, chains=3)
    assert result.replicas == (0, 1, 2)
    assert result.digests == tuple(one.digest for one in alone)
    assert (result.initial.shape, result.final.shape) == ((3, N), (3, N))
    assert (result.activity.shape, result.samples.shape) == ((3, 8), (3, 8, N))
    np.testing.assert_array_equal(result.samples[2], alone[2].samples)
    assert result.moments_count.tolist() == [8, 8, 8]
    assert result.time.size == 0
    for r, one in enumerate(alone):
        same(result.of_chain(r), one)
    assert result.summary.chains == 3
    assert "chains   3, replicas 0 to 2" in repr(result)


def test_events_are_chain_after_chain(alone: list[distsim.Result]) -> None:
    result = simulate(W, **OPTIONS, chains=3, events=True)
    assert result.chain is not None
    assert result.chain.tolist() == sorted(result.chain)
    for r, one in enumerate(alone):
        for name in ("time", "neuron", "state"):
            np.testing.assert_array_equal(getattr(result.of_chain(r), name), getattr(one, name))
    assert result.of_chain(1).plot.raster() is not None  # what one chain can


def test_initial_states_are_given_to_each_chain(tmp_path: Path) -> None:
    options = {**OPTIONS, "initial": None}
    states = np.random.default_rng(1).integers(0, 2, (3, N))
    result = simulate(W, **{**options, "initial": states}, chains=3)
    np.testing.assert_array_equal(result.initial, states)
    wanted = simulate(W, **{**options, "initial": states[2]}, replica=2)
    same(result.of_chain(2), wanted)
    np.save(tmp_path / "x.npy", states)
    filed = simulate(W, **{**options, "initial": str(tmp_path / "x.npy")}, chains=3)
    assert filed.digest == result.digest
    after = simulate(W, **{**options, "initial": result}, chains=3)
    np.testing.assert_array_equal(after.initial, result.final)
    common = simulate(W, **{**options, "initial": states[0]}, chains=2)
    np.testing.assert_array_equal(common.initial, states[[0, 0]])
    with pytest.raises(InputError, match=r"initial: shape \(3, 24\), .* or 2 x 24, a row a chain"):
        simulate(W, **{**options, "initial": states}, chains=2)
    with pytest.raises(InputError, match=r"initial: shape \(3, 24\), .* each 0 or 1$"):
        simulate(W, **{**options, "initial": states})


def test_xarray_has_a_dim_of_chains(alone: list[distsim.Result]) -> None:
    dataset = simulate(W, **OPTIONS, chains=3).to_xarray()
    assert dict(dataset.sizes) == {"chain": 3, "draw": 8, "neuron": N, "first": N, "second": N}
    assert dataset["activity"].dims == ("chain", "draw")
    assert dataset["samples"].dims == ("chain", "draw", "neuron")
    np.testing.assert_array_equal(dataset["moments"].sel(chain=1), alone[1].moments)
    assert alone[2].to_xarray()["chain"].item() == 2


def test_what_only_one_chain_can_is_refused() -> None:
    result = simulate(W, **OPTIONS, chains=2)
    with pytest.raises(InputError, match=r"plot: 2 chains are here; allowed: of one, by of_chain"):
        result.plot.raster()
    with pytest.raises(InputError, match=r"go_on: 2 chains are here"):
        result.go_on(time=1.0)
    with pytest.raises(InputError, match=r"of_chain: 2 given; allowed: 0 to 1"):
        result.of_chain(2)
    with pytest.raises(InputError, match=r"chains: 2 given to stream; allowed: 1, or to simulate"):
        stream(W, **OPTIONS, chains=2)
    with pytest.raises(InputError, match=r"no energy exists"):
        simulate(W, **{**OPTIONS, "observe": "energy"}, chains=2)


def test_an_interrupt_keeps_the_chains_at_their_ends(
    alone: list[distsim.Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        """A Ctrl-C at the third look."""

        def __init__(self, **_: Any) -> None:
            self._looks = 0

        def __enter__(self) -> "Interrupted":
            return self

        def __exit__(self, *_: Any) -> None: ...

        @property
        def received(self) -> bool:
            self._looks += 1
            return self._looks > 2

    monkeypatch.setattr(agreement, "_EVERY", 0.0)
    monkeypatch.setattr(agreement, "_EVERY_OF_GROUPS", 0.0)
    monkeypatch.setattr("distsim.front.chains.Interrupts", Interrupted)
    result = simulate(W, **OPTIONS, chains=30)
    assert (result.partial, result.summary.stopped) == (True, "SIGINT")
    count = len(result.replicas)
    assert 0 < count < 30
    assert (result.final.shape, result.activity.shape) == ((count, N), (count, 8))
    same(result.of_chain(0), alone[0])


def test_files_of_several_chains_are_read(alone: list[distsim.Result], tmp_path: Path) -> None:
    np.save(tmp_path / "W.npy", W)
    path = str(tmp_path / "run.h5")
    program = ["run", "--network", str(tmp_path / "W.npy"), "--tau", "2", "--time", "4"]
    program += ["--observe", "activity,samples,moments", "--every", "0.5", "--initial", "random"]
    assert cli.main([*program, "--chains", "3", "--output", path], Launch()) == 0
    result = read(path)
    for r, one in enumerate(alone):
        same(result.of_chain(r), one)
    assert "chains   3\n" in repr(result)


PROGRAM = """
import json, sys
import numpy as np
import distsim

W = np.random.default_rng(5).normal(0, 0.5, (24, 24))
options = dict(tau=2.0, time=4.0, observe="activity", every=0.5, initial="random", device="cpu")
result = distsim.simulate(W, chains=3, **options)
if not result.root:
    assert result.final.shape == (0, 24)
else:
    json.dump([result.digests, result.activity.tolist()], open(sys.argv[1], "w"))
"""


@launchers.needs_mpirun
def test_all_ranks_of_a_launcher_are_dealt_chains(
    alone: list[distsim.Result], tmp_path: Path
) -> None:
    program, made = tmp_path / "program.py", tmp_path / "made.json"
    program.write_text(PROGRAM)
    launchers.start(2, str(program), str(made))
    digests, activity = json.loads(made.read_text())
    assert digests == [one.digest for one in alone]
    np.testing.assert_array_equal(activity, [one.activity for one in alone])


@launchers.needs_mpirun
def test_ranks_that_are_started_are_dealt_chains(alone: list[distsim.Result]) -> None:
    states = np.stack([one.initial for one in alone])
    result = simulate(W, **{**OPTIONS, "initial": states}, chains=3, ranks=2)
    for r, one in enumerate(alone):
        same(result.of_chain(r), one)
    assert (result.summary.ranks, result.summary.chains) == (2, 3)
