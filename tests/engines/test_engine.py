"""The contracts of solvers and engines, kept by all: the events of a window, on any number of
ranks, and of a stretch of windows."""

from typing import Any

import numpy as np
import pytest
from thread_ranks import on_ranks

from distsim.config.options import Config
from distsim.engines import windows
from distsim.engines.engine import Engine, Solution, Solver
from distsim.engines.race import Race
from distsim.engines.relax import Relax
from distsim.engines.timer import Timer
from distsim.engines.walk import Walk
from distsim.engines.windows import Windows
from distsim.kernels.states import commit
from distsim.kernels.window import END_OF_TIME, Clock
from distsim.laws.conditions import Conditions
from distsim.laws.opening import open_law
from distsim.networks.gaussian import Gaussian
from distsim.ranks.communicator import Communicator, Serial
from distsim.weights.dense import DenseColumns
from distsim.weights.shard import load

N, WINDOWS = 40, 60
STATES = (np.random.default_rng(2).random(N) < 0.5).astype(np.uint8)
SOLVERS: dict[str, Any] = {"race": Race, "relax": Relax}
CASES: dict[str, dict[str, Any]] = {
    "mpm": {"tau": 0.5},
    "mpm, windows of 1": {"tau": 0.5, "window": 1},  # that end after 4 events
    "mpm, hot": {"tau": 4.0, "window": 200},
    "mpm, capped": {"tau": 0.02},  # that end where a rate is too large
    "bm, sequential": {"model": "bm", "scan": "sequential"},
    "bm, random": {"model": "bm", "scan": "random", "window": 100},
}


def follow(ranks: Communicator, name: str, case: dict[str, Any]) -> list[Solution]:
    """Some windows of a chain on these ranks; what the contract says of each is checked."""
    config = Config(network="gaussian", neurons=N, transitions=1, seed=9, **case)
    network = Gaussian(N, 1.0, 0, config.model == "bm")
    shard = load(network, 16, ranks, DenseColumns)
    law = open_law(config, shard, ranks, Conditions.constant(config.tau))
    solver: Solver = SOLVERS[name](shard, ranks, Timer())
    states = STATES.copy()
    x = states[shard.first : shard.first + shard.size].copy()
    z = shard.responses(states)
    solutions = []
    for _ in range(WINDOWS):
        window = law.open(z, x)
        z_before, x_before = z.copy(), x.copy()
        solution = solver.solve(law, window, z, x)
        np.testing.assert_array_equal(z, z_before)
        np.testing.assert_array_equal(x, x_before)
        commit(solution.events, 0, states)
        np.testing.assert_array_equal(solution.end, shard.responses(states))
        assert solution.replays >= (1 if solution.events.size else 0)
        assert solution.applies >= (1 if solution.events.size else 0)
        assert not solution.early or law.bounded
        assert solution.events.size <= window.most
        solution = solution._replace(events=solution.events.copy(), end=solution.end.copy())
        solutions.append(solution)
        commit(solution.events, shard.first, x)
        z = solution.end
        law.close(window, solution.events, early=solution.early)
    return solutions


def followed(size: int, solver: str, name: str) -> list[list[Solution]]:
    """By rank."""
    return on_ranks(size, lambda ranks: follow(ranks, solver, CASES[name]))


@pytest.fixture(scope="module")
def alone() -> dict[str, list[Solution]]:
    """By the race on one rank."""
    return {name: followed(1, "race", name)[0] for name in CASES}


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize("name", list(CASES))
def test_a_window_has_its_events(
    alone: dict[str, list[Solution]], name: str, solver: str, ranks: int
) -> None:
    wanted = alone[name]
    for mine in followed(ranks, solver, name):
        for one, other in zip(mine, wanted, strict=True):
            assert one.events.tolist() == other.events.tolist()
            assert one.early == other.early


def test_the_windows_are_of_all_kinds(alone: dict[str, list[Solution]]) -> None:
    """Some with many events, some that end early by their number or by a response."""
    early = {name: [one.events.size for one in alone[name] if one.early] for name in CASES}
    assert sum(one.events.size for one in alone["mpm, hot"]) > 5000
    assert set(early["mpm, windows of 1"]) == {4}
    assert early["mpm, capped"]
    assert max(early["mpm, capped"]) < 64
    assert not early["bm, random"]
    assert sum(one.events.size for one in alone["bm, sequential"]) > 1000


Event = tuple[int, float, int]


def stretches(name: str, case: dict[str, Any]) -> tuple[list[Event], dict[int, Clock]]:
    """The events of some stretches: word, time, change of 2 E; and by number of events the clock at
    the start of windows that have some: of all windows, or of each stretch's last one."""
    config = Config(network="gaussian", neurons=N, transitions=1, seed=9, **case)
    ranks, timer = Serial(), Timer()
    shard = load(Gaussian(N, 1.0, 0, config.model == "bm"), 16, ranks, DenseColumns)
    law = open_law(config, shard, ranks, Conditions.constant(config.tau))
    x = STATES.copy()
    z = shard.responses(x)
    needs = (shard, ranks, timer, True)
    engine: Engine = (
        Walk(*needs) if name == "walk" else Windows(SOLVERS[name](*needs), shard, timer)
    )
    states, made, clocks = x.copy(), list[Event](), {}
    while len(made) < 2000:
        stretch = engine.advance(law, z, x, 900, END_OF_TIME)
        assert stretch.first < 900
        if stretch.first < stretch.events.size:
            clocks[len(made) + stretch.first] = stretch.before
        events, times, doubled = (part.tolist() for part in stretch[:3])
        made += zip(events, times, doubled, strict=True)
        commit(stretch.events, 0, states)
        np.testing.assert_array_equal(x, states)
        np.testing.assert_array_equal(z, shard.responses(states))
        assert times[-1:] <= [law.now()]
    return made, clocks


@pytest.mark.parametrize("name", list(CASES))
def test_a_stretch_has_the_events_of_its_windows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "_WEIGHTS", 0)  # a window a stretch
    wanted, starts = stretches("race", CASES[name])
    some = 3 if name == "mpm, windows of 1" else 100  # of the small windows many have no event
    monkeypatch.setattr(windows, "_WEIGHTS", some * N)
    for engine in ("relax", "walk"):
        made, clocks = stretches(engine, CASES[name])
        several = min(len(made), len(wanted))
        assert made[:several] == wanted[:several]
        assert len(clocks) > 1
        assert all(starts[first] == clock for first, clock in clocks.items() if first in starts)
        assert len(starts.keys() & clocks.keys()) > 1
