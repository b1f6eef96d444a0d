"""GPUs: the same bits as the CPU's, for both models, engines and exchanges."""

import itertools
import json
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest
from numba import njit

import distsim
from distsim import Result
from distsim.gpu.capacity import Room
from distsim.kernels.elementary import ln


@njit
def _logarithms(x):  # type: ignore[no-untyped-def]
    y = np.empty_like(x)
    for k in range(x.size):
        y[k] = ln(x[k])
    return y


GAUSSIAN = {"network": "gaussian"}
CASES: list[dict[str, Any]] = [
    {"network": "celegans", "transitions": 4000},
    *({**GAUSSIAN, "neurons": n, "transitions": 500} for n in (1, 2, 3, 37)),
    *(
        {**GAUSSIAN, "neurons": 1001, "transitions": 4000, "weight_bits": bits}
        for bits in (8, 16, 32)
    ),
    *(
        {**GAUSSIAN, "neurons": 1000, "tau": tau, "coupling": coupling, "transitions": 4000}
        for tau, coupling in itertools.product((1.0, 0.25, 0.1), (0.5, 1.0, 4.0))
    ),
    {**GAUSSIAN, "neurons": 2500, "transitions": 4000, "initial": "random"},
    {**GAUSSIAN, "neurons": 1000, "time": 2.5},
    {**GAUSSIAN, "neurons": 600, "window": 3, "transitions": 2000},
    {**GAUSSIAN, "neurons": 600, "window": 3000, "transitions": 20_000},
    {**GAUSSIAN, "neurons": 513, "model": "bm", "steps": 20_000},
    {**GAUSSIAN, "neurons": 513, "model": "bm", "steps": 9999, "scan": "random", "weight_bits": 8},
    {**GAUSSIAN, "neurons": 200, "model": "bm", "sweeps": 50, "tau": 0.0, "initial": "random"},
]
WAYS = [("relax", "auto"), ("relax", "nccl"), ("race", "nccl")]


def _run(**options: Any) -> Result:
    network = options.pop("network")
    return distsim.simulate(network, **options)


def _check_equal(found: Result, wanted: Result) -> None:
    assert found.summary.device == "gpu"
    assert found.summary.consistent
    assert found.summary.windows == wanted.summary.windows
    for name in ("time", "neuron", "state", "final"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert found.digest == wanted.digest


def _named(case: dict[str, Any]) -> str:
    return "-".join(str(value) for value in case.values())


@pytest.mark.gpu
def test_streams_are_those_of_former_versions() -> None:
    table = Path(__file__).parents[1] / "former" / "streams.json"
    for case in json.loads(table.read_text(encoding="utf-8")):
        wanted = case.pop("digest")
        assert _run(**case, device="gpu").digest == wanted, case


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES, ids=_named)
def test_digest_is_the_cpus(case: dict[str, Any]) -> None:
    wanted = _run(**case, engine="race", device="cpu")
    for engine, exchange in WAYS:
        _check_equal(_run(**case, engine=engine, exchange=exchange, device="gpu"), wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("case", [CASES[5], CASES[13], {**CASES[-2], "neurons": 500}], ids=_named)
def test_digest_does_not_change_when_buffers_overflow(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distsim.chains.gpu import DeviceChain

    reserve, rooms = DeviceChain._reserve, []

    def tiny(self: Any, room: Room) -> None:
        rooms.append(room)
        reserve(self, room if len(rooms) > 1 else Room(slots=3, tickets=5, events=7))

    monkeypatch.setattr(DeviceChain, "_reserve", tiny)
    found = _run(**case, device="gpu")
    assert len(rooms) > 1
    _check_equal(found, _run(**case, engine="race", device="cpu"))


@pytest.mark.gpu
@pytest.mark.parametrize("case", [CASES[5], CASES[12], CASES[-2]], ids=_named)
def test_digest_does_not_change_when_kernels_end_in_mid_window(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distsim.chains.gpu import DeviceChain

    launch = DeviceChain._launch

    def short(self: Any) -> None:
        self._rounds = 1
        launch(self)

    monkeypatch.setattr(DeviceChain, "_launch", short)
    _check_equal(_run(**case, device="gpu"), _run(**case, engine="race", device="cpu"))


def _compile_with(monkeypatch: pytest.MonkeyPatch, **constants: int) -> None:
    """Kernels with other constants than those of `gpu.constants`."""
    from distsim.gpu import compiler, launcher

    compiled = compiler.compile_module
    monkeypatch.setattr(
        launcher, "compile_module", lambda name, **given: compiled(name, **{**given, **constants})
    )


@pytest.mark.gpu
@pytest.mark.parametrize("case", [CASES[12], CASES[-4], CASES[-3]], ids=_named)
def test_digest_does_not_change_when_events_overflow_shared_memory(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = _run(**case, engine="race", device="cpu")
    _compile_with(monkeypatch, SHARED_WORDS=16)
    for exchange in ("auto", "nccl"):
        _check_equal(_run(**case, exchange=exchange, device="gpu"), wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("tau", [1.0, 0.1])
def test_tickets_at_one_tick_keep_their_order(tau: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here of 2^16 ticks a window, so that neurons have some; of 2^40 they hardly ever do."""
    _compile_with(monkeypatch, MPM_TICK_BITS=16)
    case = {**GAUSSIAN, "neurons": 100, "coupling": 4.0, "tau": tau, "transitions": 5000}
    wanted = _run(**case, engine="race", device="gpu")
    for exchange in ("auto", "nccl"):
        _check_equal(_run(**case, exchange=exchange, device="gpu"), wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["relax", "race"])
def test_all_neurons_may_change_state_in_one_window(engine: Any) -> None:
    """All follow one, which rarely changes: windows aim at few events."""
    n = 2000
    weights = np.zeros((n, n))
    weights[0, 1:] = weights[1:, 0] = 40.0
    bias = np.full(n, -20.0)
    bias[0] = -6.0
    options: dict[str, Any] = {"model": "bm", "sweeps": 2000, "bias": bias}
    wanted = distsim.simulate(weights, **options, device="cpu")
    assert wanted.summary.transitions >= n
    _check_equal(distsim.simulate(weights, **options, engine=engine, device="gpu"), wanted)


@pytest.mark.gpu
def test_files_stream_to_the_gpu(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).normal(0, 0.05, (701, 701))
    np.savez(tmp_path / "w.npz", weights=weights, bias=np.linspace(-1, 1, 701))
    case = {"network": str(tmp_path / "w.npz"), "transitions": 3000, "weight_bits": 16}
    _check_equal(_run(**case, device="gpu"), _run(**case, engine="race", device="cpu"))


@pytest.mark.gpu
def test_logarithms_of_random_numbers_are_the_cpus() -> None:
    import cupy

    from distsim.gpu.compiler import compile_module

    function = compile_module("dense.cu", WEIGHT_BITS=8).get_function("logarithms")
    random = np.random.default_rng(5)
    for scale in (1e-9, 1.0, 1e9, 1e-300):
        x = random.random(25_000_000) * scale
        found = cupy.empty_like(x)
        function((-(-x.size // 256),), (256,), (cupy.asarray(x), found, np.int64(x.size)))
        assert np.array_equal(found.get().view(np.int64), _logarithms(x).view(np.int64))


@pytest.mark.gpu
def test_network_too_large_is_refused_with_the_number_of_gpus() -> None:
    from distsim.errors import InputError

    with pytest.raises(InputError, match="GPUs would do"):
        _run(**GAUSSIAN, neurons=4_000_000, transitions=10, weight_bits=8, device="gpu")


# ---------------------------------------------------------------------------- on several
@launchers.needs_mpirun
@pytest.mark.parametrize("ranks", [pytest.param(n, marks=pytest.mark.gpu(n)) for n in (2, 3, 4, 8)])
def test_digests_are_the_cpus_on_several_gpus(ranks: int, tmp_path: Path) -> None:
    ways = [("relax", "nccl"), ("relax", "peer"), ("race", "nccl")]
    made = launchers.digests(
        ranks,
        [
            {**case, "engine": engine, "exchange": exchange, "device": "gpu"}
            for engine, exchange in ways
            for case in CASES
        ],
        tmp_path,
    )
    assert made == [_run(**case, device="cpu").digest for case in CASES] * len(ways)
