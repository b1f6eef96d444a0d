"""`simulate` and its Result: what was observed, going on, stopping, starting from states."""

import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import distsim
from distsim import InputError, Result, simulate
from distsim.config.options import OBSERVABLES, Config
from distsim.front import interrupts, showing
from distsim.front.result import AbsentError
from distsim.ranks.communicator import Serial
from distsim.runs.progress import display
from distsim.runs.results import Progress
from distsim.runs.simulation import run

N = 24


def network() -> NDArray[np.float64]:
    weights = np.random.default_rng(5).normal(0, 0.5, (N, N))
    weights = weights + weights.T
    np.fill_diagonal(weights, 0.0)
    return weights


W, B = network(), np.linspace(-1, 1, N)
SEEN: dict[str, Any] = {"bias": B, "observe": OBSERVABLES, "moments_of": [3, 1, 4]}
MODELS: dict[str, dict[str, Any]] = {
    "mpm": {**SEEN, "tau": 2.0, "every": 0.25},
    "bm": {**SEEN, "model": "bm", "T": 2.0, "every": 1.5},
}


def check_equal(found: Result, wanted: Result) -> None:
    for name in ("time", "neuron", "state", "initial", "final"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
        assert getattr(found, name).dtype == getattr(wanted, name).dtype
    assert found.observables.keys() == wanted.observables.keys()
    for name, values in wanted.observables.items():
        np.testing.assert_array_equal(found.observables[name], values, name)
    assert found.digest == wanted.digest
    assert found.observables_digest == wanted.observables_digest
    assert found.summary.time == wanted.summary.time
    assert found.summary.windows == wanted.summary.windows
    assert found.summary.energy == wanted.summary.energy
    assert found.summary.consistent
    assert found.config == wanted.config


# ------------------------------------------------------------------------------------ observables
@pytest.mark.parametrize("model", MODELS)
def test_observables_are_those_of_the_events(model: str) -> None:
    length = {"time": 5.0} if model == "mpm" else {"sweeps": 30}
    result = simulate(W, **MODELS[model], **length, initial="random", seed=2)
    sweep = 1 if model == "mpm" else N
    x, k, states = result.initial.copy(), 0, []
    for at in result.observed_at * sweep:
        while k < result.time.size and result.time[k] <= at:
            x[result.neuron[k]] = result.state[k]
            k += 1
        states.append(x.copy())
    assert len(states) == 20
    np.testing.assert_array_equal(result.samples, states)
    np.testing.assert_array_equal(result.activity, result.samples.mean(axis=1))
    energies = [-x @ W @ x / 2 - B @ x for x in result.samples.astype(float)]
    np.testing.assert_allclose(result.energy, energies, rtol=1e-6, atol=1e-6)
    few = result.samples[:, result.moments_of].astype(int)
    np.testing.assert_array_equal(result.moments, few.T @ few)
    assert result.moments_count == 20
    assert result.rates.shape == result.occupation.shape == (20, N)
    np.testing.assert_allclose(result.mean_activity, result.occupation.mean(axis=1))
    x = result.best.state.astype(float)
    np.testing.assert_allclose(result.best.energy, -x @ W @ x / 2 - B @ x, rtol=1e-6)
    assert result.best.energy == result.summary.best_energy <= result.energy.min()
    assert 0 <= result.best.time <= 30
    assert "array(" not in repr(result)
    assert repr(result).count("\n") < 12
    assert result.digest in repr(result)


def test_what_was_not_observed_is_not_there() -> None:
    result = simulate(W, transitions=10)
    with pytest.raises(InputError, match=r"energy: not observed; allowed: simulate\(\.\.\., obs"):
        _ = result.energy
    with pytest.raises(InputError, match=r"cut: .*observe=\['energy'\]\) of a MaxCut"):
        _ = result.cut
    with pytest.raises(AttributeError, match=r"best/energy: .*observe=\['best'\]"):
        _ = result.best
    assert not hasattr(result, "rates")
    with pytest.raises(AbsentError, match="to_xarray: nothing observed"):
        result.to_xarray()


def test_a_run_without_a_sample_has_empty_observables() -> None:
    result = simulate(W, transitions=5, observe=["energy", "samples"], every=1e6)
    assert result.energy.shape == (0,)
    assert result.samples.shape == (0, N)


def test_a_cut_is_there_for_a_maxcut(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text("3 2\n1 2 1\n2 3 1\n")
    result = simulate(tmp_path / "g.txt", model="bm", T=0.5, sweeps=20, observe="energy,best")
    np.testing.assert_array_equal(result.cut, -result.energy / 2)
    assert result.summary.best_cut == 2
    assert result.names is None


def test_names_and_population_are_those_of_the_network(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("pre,post\nb,a\nb,a\nb,b\n")
    (tmp_path / "p.csv").write_text("neuron,type\na,E\nb,I\n")
    options: dict[str, Any] = {"observe": "moments", "moments_of": ["a", "b"]}
    options["populations"] = tmp_path / "p.csv"
    result = simulate(tmp_path / "w.csv", time=2.0, **options)
    assert result.names == ("b", "a")
    assert result.population == ("I", "E")
    assert result.moments_of.tolist() == [1, 0]
    assert "columns pre, post, each row a weight of 1; 1 row of" in repr(result)
    again = pickle.loads(pickle.dumps(result))
    assert (again.names, again.population) == (result.names, result.population)
    with pytest.raises(InputError, match="--moments-of: neuron c given; allowed: 0 to 1, or its n"):
        simulate(tmp_path / "w.csv", **{**options, "moments_of": "a,c"}, time=2.0)
    with pytest.raises(InputError, match="--moments-of: 0 and b given; allowed: each neuron once"):
        simulate(tmp_path / "w.csv", **{**options, "moments_of": "0,b"}, time=2.0)


def test_an_array_is_mended_as_a_file_is(tmp_path: Path) -> None:
    w = np.arange(9.0).reshape(3, 3)
    np.save(tmp_path / "w.npy", w)
    options: dict[str, Any] = {
        "symmetrize": True, "diagonal_to_bias": True, "model": "bm", "sweeps": 5,
    }  # fmt: skip
    symmetric = (w + w.T) / 2 - np.diag(np.diag(w))
    wanted = simulate(symmetric, bias=np.diag(w) / 2, model="bm", sweeps=5)
    for network in (w, tmp_path / "w.npy"):
        assert simulate(network, **options).digest == wanted.digest
    with pytest.raises(
        InputError, match=r"W\[0, 1\] = 1.0, W\[1, 0\] = 3.0 given; .* --symmetrize"
    ):
        simulate(w, model="bm", sweeps=5)


def test_events_need_not_be_kept() -> None:
    options = {**MODELS["mpm"], "time": 4.0}
    kept, dropped = simulate(W, **options), simulate(W, **options, events=False)
    assert kept.time.size > 50
    assert dropped.time.size == dropped.neuron.size == dropped.state.size == 0
    assert dropped.neuron.dtype == np.int64
    assert dropped.digest == kept.digest
    np.testing.assert_array_equal(dropped.energy, kept.energy)
    check_equal(dropped.go_on(time=2.0), simulate(W, **{**options, "time": 6.0}, events=False))


# ------------------------------------------------------------------------------------------ go on
GOING_ON: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any] | None]] = [
    ("mpm", {"transitions": 457}, {"transitions": 1001}, {"transitions": 1458}),
    ("mpm", {"time": 2.5}, {"time": 5.0}, {"time": 7.5}),
    ("mpm", {"transitions": 300}, {"time": 2.0}, None),
    ("mpm", {"time": 2.5}, {"transitions": 300}, None),
    ("bm", {"sweeps": 7}, {"sweeps": 20}, {"sweeps": 27}),
    ("bm", {"steps": 101}, {"steps": 206}, {"steps": 307}),
    ("bm", {"steps": 101}, {"sweeps": 3}, {"steps": 101 + 3 * N}),
    ("bm", {"sweeps": 3}, {"steps": 7}, {"steps": 7 + 3 * N}),
    ("bm", {"transitions": 100, "scan": "random"}, {"transitions": 99}, {"transitions": 199}),
]


@pytest.mark.parametrize(("model", "first", "more", "whole"), GOING_ON)
def test_a_run_goes_on_exactly(
    model: str, first: dict[str, Any], more: dict[str, Any], whole: dict[str, Any] | None
) -> None:
    options = MODELS[model] | {name: first[name] for name in first if name == "scan"}
    short = simulate(W, **(options | first), initial="random")
    long = short.go_on(**more)
    if whole is None:  # a length of another unit than before
        (unit,) = more
        whole = {unit: getattr(short.summary, unit) + more[unit]}
    check_equal(long, simulate(W, **options, **whole, initial="random"))
    assert long.summary.transitions > short.summary.transitions > 0
    check_equal(short.go_on(**more), long)  # the first is what it was


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["relax", "race"])
def test_a_run_goes_on_on_a_gpu(engine: Any) -> None:
    for model, first, more, whole in GOING_ON:
        seen = {"observe": "activity,rates,samples", "moments_of": None}
        options = MODELS[model] | seen | {name: first[name] for name in first if name == "scan"}
        if whole is None:
            continue
        short = simulate(W, **(options | first), initial="random", device="gpu", engine=engine)
        wanted = simulate(W, **options, **whole, initial="random", device="cpu")
        found = short.go_on(**more)
        for name in ("time", "neuron", "state", "final", "activity", "rates", "samples"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
        assert found.digest == wanted.digest
        assert found.observables_digest == wanted.observables_digest


def test_a_run_goes_on_again_and_again() -> None:
    options = {**MODELS["mpm"], "transitions": 100}
    result = simulate(W, **options)
    for _ in range(3):
        result = result.go_on(transitions=33)
    check_equal(result, simulate(W, **{**options, "transitions": 199}))


def test_going_on_needs_one_length_of_the_model_and_the_same_network() -> None:
    weights = W.copy()
    result = simulate(weights, transitions=10)
    for lengths, message in (
        ({}, "go_on: 0 lengths given; allowed: one, how much more"),
        ({"time": 1.0, "transitions": 1}, "go_on: 2 lengths given"),
        ({"steps": 5}, "steps: given for the mpm; allowed there: one of transitions, time"),
        ({"transitions": 0}, "transitions: 0 given; allowed: an integer, 1 or more"),
    ):
        with pytest.raises(InputError, match=message):
            result.go_on(**lengths)
    weights[0, 1] += 1.0
    with pytest.raises(InputError, match="go_on: network array has other weights or biases"):
        result.go_on(transitions=5)
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.time, result.time)
    with pytest.raises(AbsentError, match="go_on: this result was read from a file or unpickled"):
        again.go_on(transitions=5)


# --------------------------------------------------------------------------------- initial states
def test_a_run_starts_from_states_or_from_where_another_ended(tmp_path: Path) -> None:
    first = simulate(W, transitions=50)
    np.save(tmp_path / "x.npy", first.final)
    options: dict[str, Any] = {"transitions": 80, "seed": 9}
    wanted = simulate(W, initial=tmp_path / "x.npy", **options)
    for initial in (first, first.final, first.final.tolist(), first.final.astype(bool)):
        result = simulate(W, initial=initial, **options)
        assert result.digest == wanted.digest
        assert result.config["initial"] == "array"
        np.testing.assert_array_equal(result.initial, first.final)
    assert simulate(W, initial="ones", transitions=1).initial.all()
    check_equal(
        simulate(W, initial=first, **options).go_on(transitions=20),
        simulate(W, initial=first, seed=9, transitions=100),
    )


def test_a_command_cannot_start_from_what_only_python_has() -> None:
    with pytest.raises(InputError, match="initial: array given; allowed: zeros, ones, random or"):
        run(Config(initial="array", transitions=1), Serial())


# ---------------------------------------------------------------------------------------- Ctrl-C
class Presses:
    """A display that presses Ctrl-C, so many times at once, when enough has happened."""

    def __init__(self, after: int, times: int) -> None:
        self.after, self.times = after, times
        self.cleared = False

    def __call__(self, progress: Progress) -> None:
        if progress.transitions >= self.after:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
            self.times = 0

    def compiling(self, kernel: str) -> None: ...

    def clear(self) -> None:
        self.cleared = True


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Presses]]:
    """Who is given to the next run as its display."""
    presses: list[Presses] = []
    monkeypatch.setattr(interrupts, "_last", -1e9)
    monkeypatch.setattr(
        "distsim.front.simulate.shown", lambda *_, **__: presses.pop() if presses else None
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield presses
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_returns_what_there_is_and_the_run_can_go_on(hands: list[Presses]) -> None:
    options = {**MODELS["mpm"], "window": 50}
    hands.append(finger := Presses(after=1000, times=1))
    result = simulate(W, **options, transitions=200_000)
    done = result.summary.transitions
    assert result.summary.stopped == "SIGINT"
    assert result.partial
    assert 1000 <= done == result.time.size < 200_000
    assert finger.cleared
    assert "stopped" in repr(result)
    whole = result.go_on(transitions=3000)
    check_equal(whole, simulate(W, **options, transitions=done + 3000))
    assert whole.summary.stopped is None


def test_a_second_ctrl_c_is_an_interrupt(hands: list[Presses]) -> None:
    hands.append(Presses(after=100, times=2))
    with pytest.raises(KeyboardInterrupt):
        simulate(W, transitions=100_000)
    hands.append(Presses(after=100, times=1))  # soon after: it is meant for the whole program
    with pytest.raises(KeyboardInterrupt):
        simulate(W, transitions=100_000)


def test_a_handler_of_the_program_stays(hands: list[Presses]) -> None:
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        hands.append(Presses(after=100, times=1))
        assert simulate(W, transitions=5000).summary.stopped is None
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert seen == [signal.SIGINT]


# -------------------------------------------------------------------------------------- progress
def test_progress_is_shown_where_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert showing.shown(None) is None  # the tests' standard error is a file
    assert showing.shown(False) is None
    assert showing.shown(True) is not None
    assert showing.shown(True, root=False) is None

    class Shell:
        kernel = object()

    class Module:
        get_ipython = staticmethod(lambda: Shell)

    monkeypatch.setitem(showing.sys.modules, "IPython", Module)  # type: ignore[attr-defined]
    bar = showing.shown(None)
    assert bar is not None
    bar(Progress(transitions=5, time=1.0, fraction=0.5, seconds=2.0))
    assert capsys.readouterr().err.startswith("\r\033[K[####")
    assert type(display()) is type(bar)


# ------------------------------------------------------------------------------------- to_xarray
def test_observables_as_a_dataset() -> None:
    pytest.importorskip("xarray")
    result = simulate(W, **MODELS["mpm"], time=2.0)
    data = result.to_xarray()
    assert data.sizes == {"chain": 1, "draw": 8, "neuron": N, "first": 3, "second": 3}
    np.testing.assert_array_equal(data.draw, result.observed_at)
    np.testing.assert_array_equal(data.energy[0], result.energy)
    np.testing.assert_array_equal(data["samples"][0], result.samples)
    assert data.rates.dims == data.occupation.dims == ("chain", "draw", "neuron")
    assert data.best_state.dims == ("chain", "neuron")
    assert float(data.best_energy[0]) == result.best.energy
    np.testing.assert_array_equal(data.first, [3, 1, 4])
    assert int(data.moments.sel(first=4, second=4)[0]) == result.moments[2, 2]
    assert data.attrs["digest"] == result.digest
    assert data.attrs["observables_digest"] == result.observables_digest
    named = simulate("celegans", time=0.1, observe="rates", every=0.05).to_xarray()
    assert named.neuron.values[0] == distsim.simulate("celegans", transitions=1).names[0]  # type: ignore[index]


def test_without_xarray_one_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    result = simulate(W, time=1.0, observe="activity")
    monkeypatch.setitem(showing.sys.modules, "xarray", None)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"to_xarray: .*pip install distsim\[xarray\]"):
        result.to_xarray()
