"""Networks that change no more: exact where time is the length, said where events are."""

import math
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest
from processes import Run

from distsim import simulate
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.config.sources import amend
from distsim.errors import InputError
from distsim.files.events import read
from distsim.kernels.elementary import exponential, ln
from distsim.kernels.window import END_OF_TIME
from distsim.laws.boltzmann import LARGEST_LOGIT, may_change
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder
from distsim.runs import checkpoint, simulation
from distsim.runs.results import Summary

ENGINES = pytest.mark.parametrize("engine", ["walk", "relax", "race"])
SILENT: dict[str, Any] = {"network": "w.npz", "device": "cpu"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a network whose neurons fall silent, at a rate of 1, and fire at one of e^-1500."""
    monkeypatch.chdir(tmp_path)
    np.savez("w.npz", weights=3000.0 * np.eye(20), bias=np.full(20, -3000.0))
    return tmp_path


def run(**options: Any) -> Summary:
    return simulation.run(Config(**SILENT, **options), Serial())


def resume(**options: Any) -> Summary:
    saved = checkpoint.read("run.ck", Serial())
    return simulation.run(amend("run.ck", saved.config, {}, options), Serial(), saved=saved)


# ------------------------------------------------------------------------------------- the MPM


@ENGINES
def test_where_all_neurons_are_clamped_nothing_happens(engine: str) -> None:
    options: dict[str, Any] = {"clamp": {0: 1, 1: 0}, "engine": engine, "device": "cpu"}
    result = simulate(np.zeros((2, 2)), time=5.0, **options)
    assert (result.summary.transitions, result.summary.time) == (0, 5.0)
    assert result.final.tolist() == [1, 0]
    with pytest.raises(InputError, match="at rest: all neurons are clamped"):
        simulate(np.zeros((2, 2)), transitions=5, **options)


@ENGINES
def test_without_events_a_run_in_time_ends_and_is_prolonged(engine: str, here: Path) -> None:
    files = {"output": "run.h5", "checkpoint": "run.ck"}
    summary = run(time=5.0, engine=engine, **files)
    assert (summary.transitions, summary.time, summary.consistent) == (0, 5.0, True)
    events = read("run.h5")
    assert events.time.size == 0
    assert events.final is not None
    assert not events.final.any()
    longer = resume(time=1e300)
    assert (longer.transitions, longer.time) == (0, 1e300)
    assert longer.digest == summary.digest == run(time=7.0).digest
    assert read("run.h5").config["time"] == 1e300
    with pytest.raises(InputError, match=r"at rest: its largest rate is 2\^-2164, and model time"):
        resume(transitions=1)


@ENGINES
@pytest.mark.parametrize("state", ["ones", "random"])
def test_a_network_that_comes_to_rest_has_its_events(engine: str, state: str, here: Path) -> None:
    """A run to their last, and one that begins with some of them and is prolonged."""
    files = {"output": "run.h5", "checkpoint": "run.ck"}
    whole = run(time=1e9, initial=state, engine=engine, output="whole.h5")
    events = read("whole.h5")
    assert whole.transitions == events.initial.sum() > 5
    assert events.final is not None
    assert not events.final.any()
    middle = float(events.time[3])
    assert run(time=middle, initial=state, engine=engine, **files).transitions == 4
    assert resume(time=1e9).digest == whole.digest
    np.testing.assert_array_equal(read("run.h5").time, events.time)


@launchers.needs_mpirun
def test_ranks_agree(here: Path) -> None:
    cases = [
        {**SILENT, "network": str(here / "w.npz"), "time": 2.0, "engine": engine, "initial": state}
        for engine in ("relax", "race")
        for state in ("zeros", "random")
    ]
    alone = [simulation.run(Config(**case), Serial()).digest for case in cases]
    assert launchers.digests(2, cases, here) == alone
    assert len(set(alone)) == 2


@ENGINES
def test_the_widest_windows_are_as_exact_as_any(engine: str) -> None:
    """Rates of 2^-1000: as many events as their law says, up to the end of model time."""
    bias = np.full(50, -1000 * 2 * math.log(2.0))
    options: dict[str, Any] = {"bias": bias, "engine": engine, "device": "cpu"}
    result = simulate(np.zeros((50, 50)), time=END_OF_TIME, seed=3, **options)
    fired = int(result.state.sum())
    assert abs(fired - 50) < 6 * math.sqrt(50)
    assert len(result.time) - fired in (fired, fired - 1)
    assert (result.time <= END_OF_TIME).all()
    other = "race" if engine == "relax" else "relax"
    again = simulate(np.zeros((50, 50)), time=END_OF_TIME, seed=3, **{**options, "engine": other})
    assert again.digest == result.digest
    short = simulate(np.zeros((50, 50)), transitions=40, seed=3, **options)
    np.testing.assert_array_equal(short.time, result.time[:40])


def test_model_time_has_an_end() -> None:
    with pytest.raises(InputError, match=r"--time: 1\.1e\+301 given; allowed: up to 2\^1000"):
        simulate("celegans", time=1.1e301)


# -------------------------------------------------------------------------------------- the BM

FROZEN: dict[str, Any] = {"model": "bm", "tau": 1e-3, "initial": "random", "device": "cpu"}


@ENGINES
@pytest.mark.parametrize("scan", ["sequential", "random"])
def test_a_bm_beyond_all_thresholds_says_so(engine: str, scan: str, tmp_path: Path) -> None:
    weights, bias = tmp_path / "w.npy", tmp_path / "b.npy"
    np.save(weights, np.zeros((30, 30)))
    np.save(bias, np.full(30, -50.0))
    network: dict[str, Any] = {"network": str(weights), "bias": str(bias)}
    options = {**FROZEN, "scan": scan, "engine": engine}
    file = str(tmp_path / "run.h5")
    with pytest.raises(InputError, match=r"the network is at rest: after step \d+ no neuron's"):
        simulation.run(Config(**network, transitions=100, output=file, **options), Serial())
    free = simulate(network.pop("network"), sweeps=200, **network, **options)
    assert not free.final.any()
    partial = simulation.run(
        Config(network=str(weights), **network, transitions=len(free.time), **options), Serial()
    )
    assert partial.digest == free.digest  # the last possible event may be waited for
    assert Path(file + ".partial").exists()


@launchers.needs_mpirun
def test_all_ranks_find_a_bm_at_rest(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", weights=np.zeros((30, 30)), bias=np.full(30, -50.0))
    options = ("--model", "bm", "--tau", 1e-3, "--network", "w.npz", "--transitions", 5)
    done = Run(tmp_path, *options, "--device", "cpu", ranks=2).end()
    assert done.status == 2
    assert done.err.count("the network is at rest") == 1


def test_a_bm_that_can_still_move_goes_on() -> None:
    """One neuron just within reach of the extreme thresholds, to which no run will come."""
    weights = np.zeros((30, 30))
    for bias, frozen in ((-36.7, False), (-36.8, True)):
        network = from_array(weights, np.full(30, bias))
        config = Config(
            network="array", transitions=1, **{**FROZEN, "tau": 1.0, "initial": "zeros"}
        )
        chain = open_chain(network, config, Serial())
        recorder = Recorder(1, None, None)
        chain.advance(recorder)
        if frozen:
            with pytest.raises(InputError, match="at rest"):
                chain.advance(recorder)
        else:
            chain.advance(recorder)
            chain.advance(recorder)


def test_the_extreme_logits_are_those_of_the_kernels() -> None:
    for u, sign in ((1.0 - 2.0**-53, 1), (2.0**-53, -1)):
        assert ln(u) + exponential(u) == sign * LARGEST_LOGIT
    beside = ln(1.0 - 3 * 2.0**-53) + exponential(1.0 - 3 * 2.0**-53)
    assert beside < LARGEST_LOGIT - 1.0


@pytest.mark.parametrize("scale", [0.0, 1e-5, 0.37, 12.345, 3e7])
def test_what_may_change_is_what_an_extreme_ticket_changes(scale: float) -> None:
    """Each neuron alone, around both extremes, by the thresholds of `kernels.boltzmann`."""
    rng = np.random.default_rng(7)
    for rest in (-0.5, -0.3, 0.0, 0.2, 0.5, *rng.uniform(-0.5, 0.5, 20)):
        for logit in (-LARGEST_LOGIT, 0.0, LARGEST_LOGIT):
            for near in range(-2, 3):
                z = math.ceil(scale * logit - rest) + near
                ups = [scale * end - rest for end in (-LARGEST_LOGIT, LARGEST_LOGIT)]
                up = [math.ceil(value) for value in ups]
                down = [1 - value for value in up]
                if scale == 0.0:
                    up, down = [math.floor(-rest) + 1], [math.floor(rest) + 1]
                for state, thresholds in ((0, up), (1, down)):
                    wanted = any((z if state == 0 else -z) >= limit for limit in thresholds)
                    one = np.array([rest]), np.array([z]), np.array([state], np.uint8)
                    assert may_change(scale, *one).tolist() == [wanted]
