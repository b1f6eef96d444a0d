"""GPUs tell by how much each event changes the energy: the same numbers as a chain on a CPU."""

import json
from pathlib import Path
from typing import Any

import doubled
import fake_cupy
import launchers
import numpy as np
import pytest
from thread_ranks import on_ranks

from distsim.ranks import partition
from distsim.ranks.communicator import Communicator, Serial

MPM: dict[str, Any] = {"neurons": 600, "model": "mpm"}
BM: dict[str, Any] = {"neurons": 600, "model": "bm", "weight_bits": 16, "steps": 9999}
CASES: list[dict[str, Any]] = [
    *({**MPM, "weight_bits": bits, "transitions": 3001} for bits in (8, 16, 32)),
    {**MPM, "weight_bits": 8, "tau": 0.25, "time": 2.51},
    {**MPM, "weight_bits": 8, "far": 1e9, "transitions": 3001},  # z: int64
    {**MPM, "weight_bits": 8, "window": 5000, "transitions": 20_001},  # beyond all marks of z
    BM,
    {**BM, "scan": "random", "window": 3000},
]
WAYS = [("relax", "auto"), ("relax", "nccl"), ("race", "nccl")]


def _named(case: dict[str, Any]) -> str:
    return "-".join(str(value) for value in case.values())


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES, ids=_named)
def test_changes_of_the_energy_are_the_cpus(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distsim.chains import gpu_events

    monkeypatch.setattr(gpu_events, "_RING", 1)  # of two windows: it comes round many times
    wanted = doubled.by_cpu({**case, "engine": "race"})
    assert np.unique(wanted).size > 100
    for engine, exchange in WAYS:
        found = doubled.by_gpu({**case, "engine": engine, "exchange": exchange}, Serial())
        assert np.array_equal(found, wanted), (engine, exchange)


@launchers.needs_mpirun
@pytest.mark.parametrize("ranks", [pytest.param(n, marks=pytest.mark.gpu(n)) for n in (2, 3)])
def test_changes_of_the_energy_are_the_cpus_on_several_gpus(ranks: int, tmp_path: Path) -> None:
    ways = [("relax", "nccl"), ("relax", "peer"), ("race", "nccl")]
    asked, made = tmp_path / "cases.json", tmp_path / "made.npz"
    cases = [
        {**case, "engine": engine, "exchange": exchange}
        for case in CASES
        for engine, exchange in ways
    ]
    asked.write_text(json.dumps(cases), encoding="utf-8")
    launchers.start(ranks, doubled.__file__, str(asked), str(made))
    with np.load(made) as found:
        for k, case in enumerate(CASES):
            wanted = doubled.by_cpu(case)
            for way in range(len(ways)):
                assert np.array_equal(found[f"case{len(ways) * k + way}"], wanted), (case, way)


def test_the_host_puts_together_what_ranks_tell() -> None:
    """Each rank's ring holds the numbers of its own neurons' events, and anything for others."""
    rng = np.random.default_rng(4)
    neuron, numbers = rng.integers(0, 10, 50), rng.integers(-1000, 1000, 50)
    time, state = np.arange(50.0), np.zeros(50, np.uint8)

    class Ring:
        def __init__(self, own: Any) -> None:
            self.own = own

        def recorded(self, start: int, stop: int) -> Any:
            return time[start:stop], neuron[start:stop], state[start:stop]

        def changes(self, start: int, stop: int) -> Any:
            return np.where(self.own, numbers, 77)[start:stop]

    class Part:
        def __init__(self, ranks: Communicator) -> None:
            self.neurons = 10
            self.first = partition.start(ranks.rank, 10, ranks.size)
            self.size = partition.start(ranks.rank + 1, 10, ranks.size) - self.first

    with fake_cupy.install():
        from distsim.chains.gpu_events import taken

        def told(ranks: Communicator) -> Any:
            part: Any = Part(ranks)
            ring: Any = Ring((neuron >= part.first) & (neuron < part.first + part.size))
            return taken(ring, part, ranks, (3, 41), energies=True)[3]

        for size in (1, 3):
            for found in on_ranks(size, told):
                assert np.array_equal(found, numbers[3:41])
