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

from distsim.chains.chain import Position
from distsim.chains.cpu import HostChain
from distsim.config.options import Config
from distsim.gpu.walk_shape import WARP
from distsim.laws.conditions import Conditions
from distsim.laws.window import target_events
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder
from distsim.weights.source import Network

HOST = """
#include "walks.cu"
extern "C" void begin(i64 chains, const Walks* given, const i64* bias) {
    for (block_number = 0; block_number < chains; block_number++) begin_chains(given, bias);
}
extern "C" void walk(i64 chains, const Walks* given) {
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


DEVICES = [
    pytest.param("host", marks=needs_compiler),
    pytest.param("gpu", marks=pytest.mark.gpu),
]


class Case(NamedTuple):
    neurons: int
    bits: int = 8
    taus: tuple[float, ...] = (1.0,)  # one a chain in turn
    coupling: float = 1.0
    rests: bool = False
    clamped: int = 0
    window: int | None = None
    replicas: tuple[int, ...] = (0, 1, 5, 65535)
    transitions: int = 1500
    steps: tuple[int, ...] = (1, 700, 1500)  # goals, one after the other


CASES = [
    Case(1, transitions=40, steps=(40,)),
    Case(3, bits=16, rests=True, transitions=100, steps=(100,)),
    Case(20, taus=(0.1, 0.25, 1.0, 4.0), coupling=4.0, rests=True, clamped=3),
    Case(37, bits=32, taus=(1.0, 0.25), rests=True, clamped=5),
    Case(201, taus=(0.25, 0.1)),
    Case(250, taus=(1.0, 0.5), rests=True, clamped=30, window=700, transitions=5000, steps=(5000,)),
    Case(333, bits=16, taus=(1.0, 0.1), coupling=2.0, rests=True),
    Case(511, bits=32, clamped=1),
    Case(1030, rests=True),
]


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
        self.shard = self.open(0).shard

    def conditions(self, r: int) -> Conditions:
        constant = Conditions.constant(self.taus[r])
        return replace(constant, clamped=np.sort(self.clamped))

    def open(self, r: int) -> HostChain:
        case = self.case
        config = Config(
            network="array", model="mpm", weight_bits=case.bits, device="cpu", window=case.window,
            replica=case.replicas[r], seed=5, tau=self.taus[r], transitions=1, storage="dense",
        )  # fmt: skip
        return HostChain(self.network, config, Serial(), self.states[r], self.conditions(r))

    def run(self, r: int, transitions: int | None, until: float | None = None) -> Position:
        chain, recorder = self.open(r), Recorder(transitions, until)
        while not recorder.finished(chain.now()):
            chain.advance(recorder)
        return chain.position(recorder)

    def walks(self, module: Any) -> Any:
        case, shard = self.case, self.shard
        size = len(case.replicas)
        clamped = np.zeros(case.neurons, np.bool_)
        clamped[self.clamped] = True
        matrix = shard.neurons, shard.connections, shard.strength
        targets = [case.window or target_events(*matrix, tau) for tau in self.taus]
        return module.Walks(
            module.upload(np.ascontiguousarray(shard.storage.columns)),
            bias=shard.bias, rest=shard.rest, kind=shard.kind, spread=shard.spread, seed=5,
            replicas=np.array(case.replicas), states=self.states,
            scales=2.0 * np.array(self.taus) / shard.unit, targets=np.array(targets),
            clocks=module.at_start(size), clamped=clamped,
        )  # fmt: skip


def _check(walks: Any, chains: Chains) -> None:
    """All that is known of a chain is what the CPU's is after as many events."""
    clocks = walks.clocks()
    for r in range(walks.size):
        wanted = chains.run(r, int(walks.transitions()[r]))
        assert int(walks.totals()[r]) == wanted.total
        np.testing.assert_array_equal(walks.states()[r], wanted.states)
        assert walks.last()[r] == wanted.last
        found = tuple(array[r].item() for array in clocks[:4])
        clock = wanted.clock
        assert found == (clock.number, clock.exponent, clock.high, clock.low)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.neurons}-{case.bits}")
def test_chains_are_the_cpus(case: Case, device: str) -> None:
    chains = Chains(case)
    endless = np.full(len(case.replicas), np.inf)
    with _on(device) as module:
        walks = chains.walks(module)
        for goal in case.steps:
            walks.advance(np.full(walks.size, goal), endless)
            assert (walks.transitions() <= goal).all()
        assert (walks.transitions() > 0).all()
        _check(walks, chains)
        walks.release()
