"""GPUs: the same bits as the CPU's, for both models, engines and exchanges.

Without a GPU the kernels are compiled, if nvcc is there, and the arithmetic that has to agree is
compared as host code, if a C++ compiler is there.
"""

import ctypes
import importlib.util
import itertools
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from distsim import kernels
from distsim.kernels.elementary import exponential, ln
from distsim.kernels.gaussian import Formula, gaussian_rows
from distsim.runs import simulation
from distsim.runs.results import Result

KERNELS = Path(kernels.__file__).parent


# ------------------------------------------------------------------------- without a GPU
def _compile_with_nvcc(source: Path, options: list[str], folder: Path) -> str:
    """The log of a failure."""
    command = ["nvcc", "-cubin", *options, str(source), "-o", str(folder / "kernels.cubin")]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def _compile_with_nvrtc(source: Path, options: list[str], folder: Path) -> str:
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(source.read_text(encoding="utf-8"), source.name, [], [])
    try:
        nvrtc.compileProgram(program, [*options, f"-I{source.parent}"])
    except nvrtc.NVRTCError:
        return str(nvrtc.getProgramLog(program))
    return ""


COMPILERS = {
    "nvcc": (_compile_with_nvcc, shutil.which("nvcc")),
    "nvrtc": (_compile_with_nvrtc, importlib.util.find_spec("cupy")),  # it needs no GPU
}


@pytest.mark.parametrize(
    "compiler",
    [
        pytest.param(run, marks=pytest.mark.skipif(not there, reason=f"no {name} here"), id=name)
        for name, (run, there) in COMPILERS.items()
    ],
)
@pytest.mark.parametrize(
    ("name", "weight_bits", "z_bits", "boltzmann", "group"),
    [
        ("relax.cu", 8, 32, 0, 64),
        ("relax.cu", 16, 32, 1, 256),
        ("relax.cu", 32, 64, 0, 32),
        ("race.cu", 8, 64, 0, 128),
        ("race.cu", 32, 64, 1, 128),
        ("dense.cu", 16, 32, 0, 128),
    ],
)
def test_kernels_compile(
    tmp_path: Path,
    name: str,
    weight_bits: int,
    z_bits: int,
    boltzmann: int,
    group: int,
    compiler: Callable[[Path, list[str], Path], str],
) -> None:
    options = [
        "-std=c++17",
        "-arch=sm_90",
        "-fmad=false",
        f"-DWEIGHT_BITS={weight_bits}",
        f"-DZ_BITS={z_bits}",
        f"-DBOLTZMANN={boltzmann}",
        f"-DGROUP={group}",
        "-DCOLUMN_BYTES=8",
        "-DAPART=8",
    ]
    assert not compiler(KERNELS / name, options, tmp_path)


HOST = """
#include "elementary.cuh"
extern "C" void logarithms(const double* x, double* y, long n) {
    for (long k = 0; k < n; k++) y[k] = ln(x[k]);
}
extern "C" void exponentials(const double* x, double* y, long n) {
    for (long k = 0; k < n; k++) y[k] = exponential(x[k]);
}
extern "C" void gaussian(double* y, long n, unsigned long long seed, double scale, int symmetric) {
    for (long i = 0; i < n; i++)
        for (long j = 0; j < n; j++) y[i * n + j] = gaussian_weight(seed, i, j, scale, symmetric);
}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The device's arithmetic, compiled for the host."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ here")
    folder = tmp_path_factory.mktemp("host")
    (folder / "host.cpp").write_text(HOST)
    command = ["g++", "-O2", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", f"-I{KERNELS}"]
    subprocess.run([*command, "host.cpp", "-o", "host.so"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "host.so"))


def _pointer(array: NDArray[np.float64]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@njit
def _logarithms(x):  # type: ignore[no-untyped-def]
    y = np.empty_like(x)
    for k in range(x.size):
        y[k] = ln(x[k])
    return y


@njit
def _exponentials(x):  # type: ignore[no-untyped-def]
    y = np.empty_like(x)
    for k in range(x.size):
        y[k] = exponential(x[k])
    return y


def test_elementary_functions_are_the_twins_of_the_cpus(host: ctypes.CDLL) -> None:
    x = np.random.default_rng(1).random(1_000_000)
    y = np.empty_like(x)
    for name, twin in (("logarithms", _logarithms), ("exponentials", _exponentials)):
        getattr(host, name)(_pointer(x), _pointer(y), ctypes.c_long(x.size))
        assert np.array_equal(y.view(np.int64), twin(x).view(np.int64))


@pytest.mark.parametrize("symmetric", [False, True])
def test_gaussian_weights_are_the_twins_of_the_cpus(host: ctypes.CDLL, symmetric: bool) -> None:
    n = 65
    weights = np.empty((n, n))
    host.gaussian(
        _pointer(weights), ctypes.c_long(n), ctypes.c_ulonglong(7), ctypes.c_double(0.3),
        ctypes.c_int(symmetric),
    )  # fmt: skip
    rows = gaussian_rows(Formula(np.uint64(7), 0.3, symmetric), 0, n, n)
    assert np.array_equal(weights, rows)


# ---------------------------------------------------------------------------- on one GPU
def _members(name: str) -> list[str]:
    """The members of a struct of chain.cuh, arrays as their elements."""
    text = (KERNELS / "chain.cuh").read_text(encoding="utf-8")
    body = re.sub(r"//.*", "", text.split(f"struct {name} {{")[1].split("};")[0])
    members: list[str] = []
    for line in body.split(";"):
        for declared in line.replace("*", "").replace("const ", "").split(None, 1)[1:]:
            for member in declared.split(","):
                found = re.match(r"\s*(\w+)(?:\[(\w+)\])?", member)
                assert found is not None
                base, length = found.groups()
                count = {"PEERS": 8, None: 0}.get(length, 2)
                stem = base.removesuffix("s") if base == "peers" else base
                members += [f"{stem}{k}" for k in range(count)] if count else [base]
    return members


@pytest.mark.gpu
def test_structs_are_those_of_the_kernels() -> None:
    from distsim.gpu.layout import STATE, Context

    assert [field[0] for field in Context._fields_] == _members("Context")
    state = [name for name in STATE.names or () if name != "spent"]
    assert state == [name for name in _members("State") if not name.startswith("spent")]


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
    return simulation.simulate(network, **options)


def _check_equal(found: Result, wanted: Result) -> None:
    assert found.summary.device == "gpu"
    assert found.summary.consistent
    for name in ("time", "neuron", "state", "final"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert found.digest == wanted.digest


def _named(case: dict[str, Any]) -> str:
    return "-".join(str(value) for value in case.values())


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

    reserve, sizes = DeviceChain._reserve, []

    def tiny(self: Any, *, slots: int, tickets: int, events: int) -> None:
        sizes.append((slots, tickets, events))
        if len(sizes) == 1:
            slots, tickets, events = 3, 5, 7
        reserve(self, slots=slots, tickets=tickets, events=events)

    monkeypatch.setattr(DeviceChain, "_reserve", tiny)
    found = _run(**case, device="gpu")
    assert len(sizes) > 1
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
    """Kernels with other constants than those of chain.cuh."""
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
def test_all_neurons_may_change_state_in_one_window(engine: str) -> None:
    """All follow one, which rarely changes: windows aim at few events."""
    n = 2000
    weights = np.zeros((n, n))
    weights[0, 1:] = weights[1:, 0] = 40.0
    bias = np.full(n, -20.0)
    bias[0] = -6.0
    options: dict[str, Any] = {"model": "bm", "sweeps": 2000, "bias": bias}
    wanted = simulation.simulate(weights, **options, device="cpu")
    assert wanted.summary.transitions >= n
    _check_equal(simulation.simulate(weights, **options, engine=engine, device="gpu"), wanted)


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
