"""One event stream: the same bits with any engine, on any number of ranks, with either MPI.

And the stream is the one that the documentation describes: two references in plain Python follow
the rule of tickets event by event.
"""

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest
from numpy.typing import NDArray
from plain import FIRST, TICKET, VISIT, WORD, draw, uniform, updating

from distsim import simulate
from distsim.chains.cpu import HostChain
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.engines import walk
from distsim.files.events import read
from distsim.laws.window import Window
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording import digest
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Collected
from distsim.runs import simulation

RANKS = (1, 2, 3, 5)
# One of so many cases is made on so many ranks, which wait for each other on few cores; of Open MPI
# fewer: what a rank computes does not depend on the library. Primes: models, engines, widths and
# sizes come in turns.
ONE_OF = {
    "mpich": {1: 31, 2: 7, 3: 11, 5: 17},
    "openmpi": {1: 31, 2: 17, 3: 23, 5: 41},
}

# Options and digests of runs of a former version, as that version made them. A change of one of
# these is a change of the event stream of an unchanged configuration: it needs a line in
# CHANGELOG.md that says so.
ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "former" / "streams.json"


def table() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return rows


def cases() -> list[dict[str, Any]]:
    """All temperatures, couplings and sizes; the other options take turns."""
    return [{name: row[name] for name in row if name != "digest"} for row in table()]


@pytest.fixture(scope="module")
def expected() -> list[str]:
    """The digest of each case."""
    return [row["digest"] for row in table()]


@pytest.mark.parametrize("engine", ["walk", "relax", "race"])
def test_the_streams_are_those_of_former_versions(engine: str, expected: list[str]) -> None:
    for case, wanted in zip(cases(), expected, strict=True):
        summary = simulation.run(Config(**case, engine=engine, device="cpu"), Serial())
        assert (summary.digest, summary.consistent) == (wanted, True), case


def test_cases_differ(expected: list[str]) -> None:
    streams = {wanted for case, wanted in zip(cases(), expected, strict=True) if case.get("tau", 1)}
    assert len(streams) == sum(1 for case in cases() if case.get("tau", 1))


@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
@pytest.mark.parametrize("ranks", RANKS)
def test_ranks_make_the_same_stream(
    mpi: str, ranks: int, expected: list[str], tmp_path: Path
) -> None:
    check_ranks(mpi, ranks, ONE_OF[mpi][ranks], expected, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
@pytest.mark.parametrize("ranks", RANKS)
def test_ranks_make_all_the_streams(
    mpi: str, ranks: int, expected: list[str], tmp_path: Path
) -> None:
    check_ranks(mpi, ranks, 1, expected, tmp_path)


WAYS = [
    {"engine": "race"}, {"engine": "relax"},
    {"engine": "walk"}, {"engine": "walk", "storage": "sparse"},
]  # fmt: skip


def check_ranks(mpi: str, ranks: int, every: int, expected: list[str], folder: Path) -> None:
    """One of so many cases, with each engine: to walk, ranks that wait need a core of their own, so
    that more than two walk but a few."""
    if mpi not in launchers.found():
        pytest.skip(f"no mpirun of {mpi}")
    runs = [
        ({**case, **way}, wanted)
        for way in WAYS[: 4 if ranks == 2 else 2]
        for case, wanted in zip(cases(), expected, strict=True)
    ]
    runs = runs[every // 2 :: every]
    if every == 1 and ranks > 2:
        few = zip(cases()[::19], expected[::19], strict=True)
        runs += [({**case, **WAYS[-1]}, wanted) for case, wanted in few]
    made = launchers.digests(ranks, [case for case, _ in runs], folder, mpi)
    wrong = [case for (case, wanted), one in zip(runs, made, strict=True) if one != wanted]
    assert not wrong


@launchers.needs_mpirun
@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_file_of_two_ranks(model: str, tmp_path: Path) -> None:
    options = ["--model", model, "--transitions", "5000", "--seed", "3", "--initial", "random"]
    one, two = str(tmp_path / "one.h5"), str(tmp_path / "two.h5")
    alone = launchers.start(1, "-m", "distsim", *options, "--output", one)
    together = launchers.start(2, "-m", "distsim", *options, "--output", two)
    first, second = read(one), read(two)
    for name in ("time", "neuron", "state", "initial", "final"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert len(first.time) == 5000
    assert first.final is not None
    computed = digest.of(first.time, first.neuron, first.state, first.final)
    assert computed == first.digest == second.digest
    assert alone.splitlines()[-1] == together.splitlines()[-1] == f"digest   {computed}"


@pytest.mark.parametrize("case", [108, 109, 110, 6, 7, 0])
def test_events_lead_from_the_initial_to_the_final_state(case: int) -> None:
    result = simulate(**cases()[case])
    x = result.initial.copy()
    for neuron, state in zip(result.neuron, result.state, strict=True):
        assert x[neuron] != state
        x[neuron] = state
    np.testing.assert_array_equal(x, result.final)
    assert (np.diff(result.time) >= 0).all()
    assert digest.of(result.time, result.neuron, result.state, result.final) == result.digest


@pytest.mark.parametrize("target", [1, 2, 5, 1000])
@pytest.mark.parametrize("scan", ["sequential", "random"])
def test_bm_stream_does_not_depend_on_windows(target: int, scan: str) -> None:
    options: dict[str, Any] = {"model": "bm", "scan": scan, "sweeps": 20}
    assert (
        simulate("gaussian", neurons=50, window=target, **options).digest
        == simulate("gaussian", neurons=50, **options).digest
    )


@pytest.mark.parametrize("engine", ["race", "relax", "walk"])
def test_a_longer_run_begins_with_the_shorter(engine: Any) -> None:
    long = simulate("celegans", transitions=3000, engine=engine)
    for count in (1, 17, 2999):
        short = simulate("celegans", transitions=count, engine=engine)
        np.testing.assert_array_equal(short.time, long.time[:count])
        np.testing.assert_array_equal(short.neuron, long.neuron[:count])
        assert short.summary.consistent
    until = float(long.time[1500])
    short = simulate("celegans", time=until, engine=engine)
    np.testing.assert_array_equal(short.time, long.time[:1501])
    assert short.summary.consistent


@pytest.mark.parametrize("window", [1, 3, 7])
def test_engines_agree_where_windows_end_early(window: int) -> None:
    """The event at which a window ends early must be looked at as closely as any other."""
    options: dict[str, Any] = {"network": "gaussian", "neurons": 600, "window": window}
    options["transitions"] = 3000
    digests = {simulate(**options, engine=engine).digest for engine in ("race", "relax", "walk")}
    assert len(digests) == 1


# ----------------------------------------------------------------- references in plain Python
# Integers, fractions and the mathematics library; no arrays of events, no compiled code.


def mpm_reference(
    chain: HostChain, weights: list[list[float]], bias: list[float], windows: list[Window]
) -> Iterator[tuple[Fraction, int, int]]:
    """The events of these windows: (time, neuron, new state)."""
    x = chain.initial.tolist()
    seed, tau, unit = chain.config.seed, float(chain.config.tau), chain.shard.unit
    start = Fraction(0)
    for number, window in enumerate(windows):
        assert window.number == number
        tickets = []
        cap = window.cap * unit  # the window ends where some s z comes above this
        for i, row in enumerate(weights):
            highest = min(cap, sum(map(abs, row)) + abs(bias[i]))
            level = 0.0
            for k in itertools.count():
                a, b, c, d = draw(seed, i, number, k, TICKET)
                if k == 0:
                    a = draw(seed, i // 4, number, 0, FIRST)[i % 4]
                level -= math.log1p(-uniform(a, b))
                threshold = 2.0 * tau * (math.log(level) - window.exponent * math.log(2.0))
                if threshold > highest:
                    break
                tickets.append(((c * WORD + d) // 2**24 + 1, i, threshold))
        width = Fraction(2) ** window.exponent
        end, made = start + width, 0
        drive = drives(weights, bias, x)
        for tick, i, threshold in sorted(tickets):
            if drive[i] < threshold:
                continue
            x[i] = 1 - x[i]
            drive = drives(weights, bias, x)
            time = start + (tick - Fraction(1, 2)) * width / 2**40
            yield time, i, x[i]
            made += 1
            if made == window.most or max(drive) > cap:
                end = time
                break
        start = end


def bm_reference(
    chain: HostChain, weights: list[list[float]], bias: list[float], steps: int
) -> Iterator[tuple[Fraction, int, int]]:
    """The events of these steps: (step, neuron, new state)."""
    x = chain.initial.tolist()
    seed, tau = chain.config.seed, float(chain.config.tau)
    for step in range(steps):
        i = step % len(x)
        if chain.config.scan == "random":
            high, low, _, _ = draw(seed, 0, step, 0, VISIT)
            i = (high * WORD + low) * len(x) // 2**64
        z = responses(weights, bias, x)[i]
        u = updating(seed, step, i, len(x), chain.config.scan == "sequential")
        new = int(z > tau * (math.log(u) - math.log1p(-u)))
        if tau == 0.0 and z == 0.0:
            new = x[i]
        if new != x[i]:
            x[i] = new
            yield Fraction(step + 1), i, new


def responses(weights: list[list[float]], bias: list[float], x: list[int]) -> list[float]:
    return [
        sum(w * xj for w, xj in zip(row, x, strict=True)) + b
        for row, b in zip(weights, bias, strict=True)
    ]


def drives(weights: list[list[float]], bias: list[float], x: list[int]) -> list[float]:
    return [(1 - 2 * xi) * zi for xi, zi in zip(x, responses(weights, bias, x), strict=True)]


def tiny(neurons: int, symmetric: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights that are multiples of 2^-10, so that rounding to units changes none; any biases."""
    random = np.random.default_rng(neurons)
    weights = np.rint(random.normal(0.0, 1024.0, (neurons, neurons))) / 1024.0
    if symmetric:
        weights = np.triu(weights, 1) + np.triu(weights, 1).T
    return weights, random.normal(0.0, 0.5, neurons)


def recorded(
    config: Config, weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[HostChain, list[Window], list[tuple[float, int, int]]]:
    """A run, the windows it took, its events."""
    chain = open_chain(from_array(weights, bias), config, Serial())
    assert isinstance(chain, HostChain)
    windows: list[Window] = []
    law: Any = chain.law
    open_window = law.open

    def spy(*arguments: Any) -> Window:
        windows.append(open_window(*arguments))
        return windows[-1]

    law.open = spy
    collected = Collected()
    limit = None if config.transitions is None else config.transitions
    recorder = Recorder(limit, config.steps, collected)
    while not recorder.finished(chain.law.now()):
        chain.advance(recorder)
    recorder.flush()
    events = list(zip(*(column.tolist() for column in collected.columns()), strict=True))
    return chain, windows, events


@pytest.mark.parametrize("engine", ["race", "relax", "walk"])
@pytest.mark.parametrize("tau", [2.0, 0.5])
@pytest.mark.parametrize("window", [None, 1, 3])
def test_mpm_follows_the_rule_of_tickets(
    engine: str, tau: float, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "_SECONDS", 0.0)  # a stretch is one window, which `open` tells
    weights, bias = tiny(6, False)
    config = Config(
        network="array", engine=engine, tau=tau, window=window, transitions=200, seed=12345678901,
        initial="random",
        device="cpu",
    )  # fmt: skip
    chain, windows, events = recorded(config, weights, bias)
    reference = mpm_reference(chain, weights.tolist(), bias.tolist(), windows)
    for (time, neuron, state), wanted in zip(events, reference, strict=False):
        assert (neuron, state) == wanted[1:]
        assert abs(Fraction(time) - wanted[0]) <= Fraction(math.ulp(time))
    assert len(windows) > 3


@pytest.mark.parametrize("engine", ["race", "relax", "walk"])
@pytest.mark.parametrize("tau", [1.0, 0.25, 0.0])
@pytest.mark.parametrize("scan", ["sequential", "random"])
def test_bm_follows_the_rule_of_tickets(engine: str, tau: float, scan: str) -> None:
    weights, bias = tiny(6, True)
    bias[:2] = 0.0
    config = Config(
        network="array", model="bm", engine=engine, tau=tau, scan=scan, steps=1000, seed=2**63,
        initial="random",
        device="cpu",
    )  # fmt: skip
    chain, _, events = recorded(config, weights, bias)
    reference = list(bm_reference(chain, weights.tolist(), bias.tolist(), 1000))
    assert [(Fraction(time), *rest) for time, *rest in events] == reference


TIED = """
from distsim.kernels import events
events.MPM_TICK_BITS = 5  # 32 ticks a window instead of 2^40: now a neuron has tickets at one tick
import distsim
from distsim.config.options import Config
from distsim.kernels.cache import KernelCache
from distsim.runs import simulation
from thread_ranks import on

def has_ticks(kernel):  # in its code: no other run's will do, nor this one's for others
    names = kernel.__code__.co_names
    called = [getattr(kernel.__globals__.get(name), "py_func", None) for name in names]
    return "MPM_TICK_BITS" in names or any(map(has_ticks, filter(None, called)))

load = KernelCache.load_overload
KernelCache.load_overload = (
    lambda cache, *given: None if has_ticks(cache._py_func) else load(cache, *given)
)
KernelCache.save_overload = lambda *given: None
for neurons, window, tau, coupling, initial, seed in (
    (5, 1000, 1.0, 1.0, "zeros", 1456474103),
    (5, 1000, 0.1, 0.5, "random", 498429282),
    (5, 1000, 3.0, 0.5, "zeros", 630894223),
    (20, 100, 0.1, 0.5, "zeros", 509090380),
    (5, 1000, 1.0, 0.5, "random", 242757610),
    (20, 16, 3.0, 15.0, "zeros", 1957981111),
):
    options = dict(
        neurons=neurons, window=window, tau=tau, coupling=coupling, seed=seed, initial=initial,
        transitions=3000, weight_bits=8, device="cpu",
    )
    digests = {
        distsim.simulate("gaussian", engine=engine, **options).digest
        for engine in ("race", "relax", "walk")
    }
    config = Config(network="gaussian", engine="walk", **options)
    digests.add(on(2, lambda ranks: simulation.run(config, ranks)).digest)
    print(len(digests))
"""


def test_tickets_at_one_tick_keep_their_order() -> None:
    """Once in 2^40 pairs of a neuron's tickets; so seldom that only a coarser tick can show it."""
    done = subprocess.run(
        [sys.executable, "-c", TIED],
        env={
            **launchers.ENVIRONMENT,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "NUMBA_OPT": "0",  # it compiles more than it runs
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == 6 * ["1"], done.stderr
