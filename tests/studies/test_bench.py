"""distsim bench: its rows, and what is asked of a chain on either device, in which order."""

import itertools
import sys
import types
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from distsim.chains.chain import Chain
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.engines import windows
from distsim.errors import InputError
from distsim.kernels import plain
from distsim.networks.gaussian import Gaussian
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Communicator, Serial
from distsim.studies import bench, plain_loops
from distsim.weights.shard import load
from distsim.weights.sparse import SparseColumns

EVERY = {
    "model", "neurons", "weight_bits", "tau", "engine", "exchange", "device", "ranks", "rate",
    "ratio", "synapses",
}  # fmt: skip
OF_ENGINES = {"target", "events", "replays", "applies", "microseconds", "consistent"}
ON_GPUS = {"limit", "joules"}


def measure(device: str, models: tuple[str, ...] = ("mpm", "bm")) -> list[dict[str, Any]]:
    return bench.run(Serial(), models, [40, 50], [32, 8], 1.0, 0.01, device, 20)


def check(rows: list[dict[str, Any]], more: set[str]) -> None:
    for row in rows:
        loop = row["engine"] == "loop"
        assert row.keys() == EVERY | (set() if loop else OF_ENGINES | more)
        assert row["rate"] > 0
        if not loop:
            assert row["consistent"]
            assert row["target"] == 20
            assert row["events"] > 0
            assert (row["applies"] > 0) == (row["engine"] != "walk")
            if row["engine"] == "relax":
                assert sum(row["microseconds"].values()) > 0


def test_rows_on_the_cpu() -> None:
    rows = measure("cpu")
    check(rows, set())
    names = [
        (row["model"], row["neurons"], row["engine"], row["weight_bits"], row["exchange"])
        for row in rows
    ]
    assert names == [
        (model, neurons, engine, bits, None)
        for model in ("mpm", "bm")
        for neurons in (40, 50)
        for engine, bits in (
            ("loop", None), ("race", 32), ("relax", 32), ("walk", 32),
            ("race", 8), ("relax", 8), ("walk", 8),
        )
    ]  # fmt: skip
    for first in range(0, len(rows), 7):
        for row in rows[first : first + 7]:
            assert row["ratio"] == row["rate"] / rows[first]["rate"]
    text = bench.table(rows).splitlines()
    assert len(text) == 1 + len(rows)
    assert text[1].split()[:5] == ["mpm", "40", "float32", "loop", "1"]
    assert "replay" in text[3]


def test_a_rate_counts_transitions_of_an_mpm_and_steps_of_a_bm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a clock that moves by a second from look to look, each after eight windows; a walk makes
    more of them at once."""
    seconds = itertools.count()
    clock = types.SimpleNamespace(perf_counter=lambda: float(next(seconds)))
    monkeypatch.setattr(bench, "time", clock)
    monkeypatch.setattr(windows, "_WEIGHTS", 0)  # a window a stretch
    for row in measure("cpu"):
        if row["engine"] in ("race", "relax"):
            events = 8 * row["events"]
            assert row["rate"] == events if row["model"] == "mpm" else row["rate"] > events


class Fake:
    """A chain on GPUs that is one on the CPU: notes what is asked of it."""

    def __init__(self, chain: Chain, exchange: str, asked: list[str]) -> None:
        self._chain, self.exchange, self._asked = chain, exchange, asked

    def __getattr__(self, name: str) -> Any:
        if name in ("advance", "consistent", "close"):
            self._asked.append(name)
        return getattr(self._chain, name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `bench` asks of chains, meters and loops where all is on GPUs, in order."""
    asked: list[str] = []

    class Meter:
        def __init__(self, ranks: Communicator) -> None:
            asked.append("copy")

        def start(self) -> None:
            asked.append("start")

        def stop(self, done: float, columns: float, neurons: int, bits: int) -> dict[str, float]:
            asked.append("stop")
            return {"limit": columns * neurons * bits, "joules": 1e-6 * done}

    def rate(*arguments: Any) -> float:
        asked.append("loop")
        return 100.0

    def opened(network: Any, config: Config, ranks: Communicator) -> Fake:
        assert config.device == "gpu"
        asked.append(f"{config.engine} {config.exchange}")
        chain = open_chain(network, replace(config, device="cpu", exchange="auto"), ranks)
        return Fake(chain, config.exchange, asked)

    module = types.ModuleType("distsim.studies.bench_gpu")
    module.ways = lambda _: [("race", "nccl"), ("relax", "peer")]  # type: ignore[attr-defined]
    module.Meter = Meter  # type: ignore[attr-defined]
    module.loop_rate = rate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distsim.studies.bench_gpu", module)
    monkeypatch.setattr("distsim.studies.bench_gpu", module, raising=False)
    monkeypatch.setattr(bench, "on_gpu", lambda device, ranks: True)
    monkeypatch.setattr(bench, "open_chain", opened)
    return asked


def test_rows_on_gpus(asked: list[str]) -> None:
    rows = measure("auto")
    check(rows, ON_GPUS)
    assert {row["device"] for row in rows} == {"gpu"}
    one = [("loop", "nccl"), ("race", "nccl"), ("relax", "peer")]
    names = [(row["model"], row["weight_bits"], row["engine"], row["exchange"]) for row in rows]
    assert names == [
        *(("mpm", bits, *name) for _ in (40, 50) for bits in (32, 8) for name in one),
        *(("bm", bits, *name) for _ in (40, 50) for bits in (32, 8) for name in one[1:]),
    ]
    assert {row["ratio"] for row in rows if row["model"] == "bm"} == {None}
    assert {row["ratio"] for row in rows if row["engine"] == "loop"} == {1.0}
    assert all(row["ratio"] == row["rate"] / 100 for row in rows if row["model"] == "mpm")


def test_a_copy_is_measured_first_and_a_chain_closed_last(asked: list[str]) -> None:
    bench.run(Serial(), ["mpm"], [40], [8], 1.0, 1e-9, "gpu", None)
    once = ["copy", *["advance"] * 6, "start", "advance", "stop", "consistent", "close"]
    assert asked == ["race nccl", *once, "relax peer", *once, "loop"]


@pytest.mark.gpu
def test_rows_of_this_gpu() -> None:
    rows = measure("gpu")
    check(rows, ON_GPUS)
    for row in rows:
        assert 0 < row.get("limit", 0.5) < 2


@pytest.mark.parametrize(("model", "active"), [("mpm", 2), ("bm", 3)])
def test_plain_loops_follow_their_law(model: str, active: int) -> None:
    """Three neurons hold each other active: those of a BM stay so; of an MPM, whose loop makes an
    even number of transitions, one leaves at last and comes back at once."""
    columns = np.full((3, 3), 60, np.float32)
    np.fill_diagonal(columns, 0)
    x = np.array([1, 1, 0], np.float32)
    assert plain_loops.LOOPS[model](columns, x, 1.0, 1e-3, np.random.default_rng(1)) > 0
    assert sorted(x.tolist()) == [0] * (3 - active) + [1] * active


def test_a_plain_loop_is_given_the_columns_of_the_network() -> None:
    network = Gaussian(70, 1.0, 0, False)
    given = []

    def loop(columns: Any, x: Any, tau: float, seconds: float, generator: Any) -> float:
        given.append((columns.copy(), seconds))
        return 7.0

    assert plain_loops.rate(network, loop, 1.0, 2.0, 0.5) == 7.0
    assert [seconds for _, seconds in given] == [0.5, 2.0]
    np.testing.assert_array_equal(given[0][0], network.rows(0, 70).T.astype(np.float32))


def test_rows_of_a_sparse_network() -> None:
    rows = bench.run(Serial(), ["mpm", "bm"], [60], [32], 1.0, 0.01, "cpu", 20, synapses=9)
    check(rows, set())
    names = [(row["model"], row["engine"], row["synapses"]) for row in rows]
    assert names == [(model, engine, 9) for model in ("mpm", "bm") for engine in ("loop", "walk")]
    with pytest.raises(InputError, match="--synapses: 61 given for 60 neurons; allowed: up to 60"):
        bench.run(Serial(), ["mpm"], [99, 60], [32], 1.0, 0.01, "cpu", None, synapses=61)


def test_sparse_is_not_measured_on_gpus(asked: list[str]) -> None:
    with pytest.raises(InputError, match="--synapses: 9 given on a GPU; allowed: with --device c"):
        bench.run(Serial(), ["mpm"], [60], [32], 1.0, 0.01, "gpu", None, synapses=9)


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_plain_loops_of_sparse_weights_keep_their_responses(model: str) -> None:
    """And follow their law: of neurons with one weight each, onto the next one, the mean activity
    of a BM and of an MPM at tau T / 2 is that of an enumeration."""
    n = 3000
    source = np.arange(n)
    shift = scipy.sparse.csr_array((np.full(n, 1.0), (source ^ 1, source)))
    network = from_array(shift)
    shard = load(network, 32, Serial(), SparseColumns, SparseColumns.store_sparse)
    columns = shard.storage.columns
    weight = columns.weight.astype(np.float32) * np.float32(shard.unit)
    s, z, state = np.ones(n, np.float32), np.zeros(n, np.float32), np.arange(1, 5, dtype=np.uint64)
    total = []
    for _ in range(60):
        if model == "mpm":
            plain.thin(columns, weight, z, s, 0.5, n // 2, state)
        else:
            plain.scan(columns, weight, z, s, 1.0, state)
        total.append((1 - s).mean() / 2)
    np.testing.assert_allclose(z, shift @ ((1 - s) / 2), atol=1e-4)
    # Pairs: weights 1, 1, 1, e of 00, 01, 10, 11 at temperature 1.
    wanted = (1 + np.e) / (3 + np.e)
    # 1,500 independent pairs, of 20 or more independent times.
    assert abs(np.mean(total[10:]) - wanted) < 5 * 0.5 / np.sqrt(n * 20 / 2)
