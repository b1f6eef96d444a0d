"""Many chains that walk make the streams of the CPU's: on a GPU, and by the kernel as host code."""

import contextlib
import ctypes
import importlib
import types
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import fake_cupy
import numpy as np
import pytest
from host_code import library, needs_compiler
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.chains.cpu import HostChain
from distsim.config.options import Config
from distsim.gpu.walk_shape import WARP
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.laws.window import target_events
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder
from distsim.weights.source import Network

HOST = """
#include "walks.cu"
extern "C" void begin(i64 chains, const Given* given, const i64* bias) {
    for (block_number = 0; block_number < chains; block_number++) begin_chains(given, bias);
}
extern "C" void walk(i64 chains, const Given* given) {
    for (block_number = 0; block_number < chains; block_number++) walk_chains(given);
}
"""


def _host_module(name: str, **given: int) -> Any:
    """What `compile_module` returns, of host code: a warp is one lane."""
    given |= {"CHAIN_WARPS": 1, "PASSES": given["PASSES"] * given["CHAIN_WARPS"] * WARP}
    host = library(HOST, **given)
    functions = {"begin_chains": host.begin, "walk_chains": host.walk}

    def get(name: str) -> Any:
        def launch(grid: Any, block: Any, arrays: Any, **more: Any) -> None:
            pointers = [ctypes.c_void_p(array.data.ptr) for array in arrays]
            functions[name](ctypes.c_longlong(grid[0]), *pointers)

        return launch

    return types.SimpleNamespace(get_function=get)


@contextlib.contextmanager
def _on(device: str) -> Iterator[Any]:
    """`distsim.gpu.walks`, on a GPU or on none."""
    if device == "gpu":
        yield importlib.import_module("distsim.gpu.walks")
        return
    with fake_cupy.install():
        walks = importlib.import_module("distsim.gpu.walks")
        walks.compile_module = _host_module  # type: ignore[attr-defined]
        yield walks


class Case(NamedTuple):
    neurons: int
    bits: int = 8
    taus: tuple[float, ...] = (1.0,)  # one a chain in turn
    coupling: float = 1.0
    rests: bool = False
    clamped: int = 0
    window: int | None = None
    replicas: tuple[int, ...] = (0, 1, 5, 65535)
    steps: tuple[int, ...] = (1, 700, 1500)  # goals, one after the other


SMALL = Case(20, taus=(0.1, 0.25, 1.0, 4.0), coupling=4.0, rests=True, clamped=3)
ON_HOST = [
    SMALL,
    Case(37, bits=32, taus=(1.0, 0.25), rests=True, clamped=5),
    Case(333, bits=16, taus=(1.0, 0.1), coupling=2.0, rests=True),
]
CASES = [
    *ON_HOST,
    Case(1, steps=(40,)),
    Case(3, bits=16, rests=True, steps=(100,)),
    Case(201, taus=(0.25, 0.1)),
    Case(250, taus=(1.0, 0.5), rests=True, clamped=30, window=700, steps=(5000,)),
    Case(511, bits=32, clamped=1),
    Case(1030, rests=True),
    Case(2100, taus=(1.0, 0.25), replicas=(0, 7), steps=(800,)),
    Case(4999, replicas=(1,), steps=(1500,)),
]
EVERYWHERE = pytest.mark.parametrize(
    "device",
    [
        pytest.param("host", marks=needs_compiler),
        pytest.param("gpu", marks=pytest.mark.gpu),
    ],
)


def _network(case: Case) -> Network:
    random = np.random.default_rng(case.neurons)
    scale = case.coupling / np.sqrt(case.neurons)
    bias = random.normal(size=case.neurons) * (0.3 if case.rests else 0.0)
    return from_array(random.normal(size=(case.neurons, case.neurons)) * scale, bias)


class Chains:
    """The CPU's chains of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.network = _network(case)
        random = np.random.default_rng(7)
        self.states = random.integers(0, 2, (len(case.replicas), case.neurons), np.uint8)
        self.clamped = random.choice(case.neurons, case.clamped, replace=False)
        self.taus = [case.taus[r % len(case.taus)] for r in range(len(case.replicas))]

        self.schedule = Conditions.constant(1.0)  # with the chain's tau as its unit
        self.shard = self.open(0).shard

    def conditions(self, r: int) -> Conditions:
        given = self.schedule
        return replace(given, taus=given.taus * self.taus[r], clamped=np.sort(self.clamped))

    def open(self, r: int, states: NDArray[np.uint8] | None = None) -> HostChain:
        case = self.case
        states = self.states[r] if states is None else states
        config = Config(
            network="array", model="mpm", weight_bits=case.bits, device="cpu", window=case.window,
            replica=case.replicas[r], seed=5, tau=self.taus[r], storage="dense", transitions=1,
        )  # fmt: skip
        return HostChain(self.network, config, Serial(), states, self.conditions(r))

    def run(
        self, r: int, transitions: int | None, until: float | None = None
    ) -> tuple[Position, Recorder]:
        chain, recorder = self.open(r), Recorder(transitions, until)
        while not recorder.finished(chain.now()):
            chain.advance(recorder)
        return chain.position(recorder), recorder

    def temperatures(self, factor: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scales and targets."""
        shard, taus = self.shard, factor * np.array(self.taus)
        matrix = shard.neurons, shard.connections, shard.strength
        targets = [self.case.window or target_events(*matrix, tau) for tau in taus]
        return 2.0 * taus / shard.unit, np.array(targets)

    def walks(self, module: Any) -> Any:
        case, shard = self.case, self.shard
        clamped = np.zeros(case.neurons, np.bool_)
        clamped[self.clamped] = True
        scales, targets = self.temperatures(1.0)
        return module.Walks(
            module.upload(np.ascontiguousarray(shard.storage.columns)),
            bias=shard.bias, rest=shard.rest, kind=shard.kind, spread=shard.spread, seed=5,
            replicas=np.array(case.replicas), states=self.states,
            scales=scales, targets=targets, clocks=module.at_start(len(case.replicas)),
            clamped=clamped,
        )  # fmt: skip


def _check(walks: Any, chains: Chains) -> None:
    """All that is known of a chain is what the CPU's is after as many events."""
    clocks = walks.clocks()
    for r in range(walks.size):
        wanted, _ = chains.run(r, int(walks.transitions()[r]))
        assert int(walks.totals()[r]) == wanted.total
        np.testing.assert_array_equal(walks.states()[r], wanted.states)
        assert walks.last()[r] == wanted.last
        clock = wanted.clock
        for name in ("number", "exponent", "high", "low"):
            assert getattr(clocks, name)[r] == getattr(clock, name), name


def _endless(walks: Any) -> NDArray[np.float64]:
    return np.full(walks.size, np.inf)


def _for_ever(walks: Any) -> NDArray[np.int64]:
    return np.full(walks.size, 1 << 60)


def _check_case(case: Case, device: str) -> None:
    chains = Chains(case)
    with _on(device) as module:
        walks = chains.walks(module)
        for goal in case.steps:
            walks.advance(np.full(walks.size, goal), _endless(walks))
            assert (walks.transitions() <= goal).all()
        assert (walks.transitions() > 0).all()
        _check(walks, chains)
        walks.release()


def _name(case: Case) -> str:
    return f"{case.neurons}-{case.bits}"


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES, ids=_name)
def test_chains_on_a_gpu_are_the_cpus(case: Case) -> None:
    _check_case(case, "gpu")


@needs_compiler
@pytest.mark.parametrize("case", ON_HOST, ids=_name)
def test_the_kernel_as_host_code_makes_the_cpus_chains(case: Case) -> None:
    _check_case(case, "host")


@EVERYWHERE
def test_windows_without_room_are_done_once_more(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains = Chains(SMALL)
    with _on(device) as module:
        shape, reserve, rooms = module.walk_shape, module.Walks._reserve, []

        def tiny(*given: Any, **more: Any) -> Any:
            return shape(*given, **more)._replace(room=32, bucket_bits=5)

        def note(walks: Any, room: int) -> None:
            rooms.append(room)
            reserve(walks, room if len(rooms) > 1 else 16)

        monkeypatch.setattr(module, "walk_shape", tiny)
        monkeypatch.setattr(module.Walks, "_reserve", note)
        walks = chains.walks(module)
        walks.advance(np.full(walks.size, 1000), _endless(walks))
        assert len(rooms) > 2
        _check(walks, chains)


@EVERYWHERE
def test_what_a_run_still_wants_is_in_the_next_window(device: str) -> None:
    """The CPU's chain takes over before the window in which a run ends, by time or by events."""
    chains = Chains(SMALL)
    with _on(device) as module:
        for goal, until in ((777, None), (None, 3.14)):
            walks = chains.walks(module)
            goals = _for_ever(walks) if goal is None else np.full(walks.size, goal)
            walks.advance(goals, _endless(walks) if until is None else np.full(walks.size, until))
            clocks = walks.clocks()
            for r in range(walks.size):
                _, wanted = chains.run(r, goal, until)
                chain, recorder = chains.open(r, walks.states()[r]), Recorder(goal, until)
                recorder.go_on(
                    int(walks.transitions()[r]), float(walks.last()[r]), int(walks.totals()[r])
                )
                chain.law.clock = Clock(
                    *(getattr(clocks, name)[r].item() for name in Clock._fields)
                )
                while not recorder.finished(chain.now()):
                    chain.advance(recorder)
                assert (recorder.total - wanted.total) % 2**64 == 0
                assert recorder.transitions == wanted.transitions > 0
                assert chain.windows <= 1


@EVERYWHERE
def test_a_window_ends_where_conditions_change(device: str) -> None:
    chains = Chains(SMALL)
    times, factors = np.array([0.0, 0.7, 1.9]), np.array([1.0, 0.4, 1.5])
    chains.schedule = replace(
        chains.schedule, times=times, taus=factors, start=np.array([0.7]),
        stop=np.array([1.9]), neuron=np.array([7]), bias=np.array([2.2]),
    )  # fmt: skip
    shard = chains.shard
    added = np.zeros(SMALL.neurons)
    added[7] = 2.2 / shard.unit
    with _on(device) as module:
        walks = chains.walks(module)
        for start, change, factor in zip(times, [*times[1:], np.inf], factors, strict=True):
            walks.temper(*chains.temperatures(factor))
            lift = np.rint(added) if start == 0.7 else np.zeros(SMALL.neurons)
            rest = added - lift if start == 0.7 else 0.0
            walks.drive(shard.bias + lift.astype(np.int64), shard.rest + rest)
            goals = np.full(walks.size, 4000) if change == np.inf else _for_ever(walks)
            walks.advance(goals, _endless(walks), np.full(walks.size, change))
            assert change == np.inf or (walks.clocks().high == change).all()
        _check(walks, chains)
