"""Kernels of many chains on a CPU: a CuPy that is NumPy, and blocks of threads that are fibers.

`install` puts it in CuPy's place, for the modules of many chains, until it is left. What it runs is
the host's code and the kernels' as they are, but for the instructions of `kernels/tensor.cuh`.
"""

import contextlib
import ctypes
import functools
import importlib
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from host_code import KERNELS

from distsim.gpu.constants import constants, definitions

KNOW_CUPY = tuple(f"distsim.gpu.{name}" for name in ("many", "resident", "layers", "blocks"))
_HEADER = Path(__file__).with_suffix(".hpp")
_EXTRA = {"layers.cu": ", const Layer* layers, const int* columns, int count"}
_NAMES = {"resident.cu": "sweep_chains", "layers.cu": "sweep_layers"}


class Array(np.ndarray[Any, np.dtype[Any]]):
    """On the device, as it were."""

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self.ctypes.data)

    def get(self) -> Any:
        return np.array(self)


def _given(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, np.uint64):
        return ctypes.c_uint64(int(value))
    return ctypes.c_int64(int(value)) if value.itemsize == 8 else ctypes.c_int32(int(value))


@functools.cache
def _library(name: str, **given: int) -> ctypes.CDLL:
    """The kernel, and `launch(blocks, threads, ...)`, which runs it."""
    extra = _EXTRA.get(name, "")
    names = [part.split()[-1].lstrip("*") for part in extra.split(",")[1:]]
    more = "".join(f", {one}" for one in names)
    source = f"""
#include "{name}"
static std::function<void()> todo;
extern "C" void launch(int blocks, int threads, GIVEN_PARAMETERS{extra}) {{
    todo = [=] {{ {_NAMES[name]}(tiles, diagonals, biases, rests, rest, states, names, clamps,
        heats, scales, responses, counts, totals, last, doubled, energies, seed, sweep0, neurons,
        width, pitch_of_sweep, pitch_of_chain, chains, size, sweeps, column0{more}); }};
    emulated::run(blocks, threads, [] {{ todo(); }});
}}
"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "host.cpp").write_text(source, encoding="utf-8")
        subprocess.run(
            [
                "g++", "-O0", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", f"-I{KERNELS}",
                "-include", "functional", "-include", str(_HEADER),
                *definitions(constants(**given)), "host.cpp", "-o", "host.so",
            ],
            cwd=folder, check=True,
        )  # fmt: skip
        return ctypes.CDLL(f"{folder}/host.so")


class _Kernel:
    max_dynamic_shared_size_bytes = 0

    def __init__(self, library: ctypes.CDLL) -> None:
        self._launch = library.launch

    def __call__(self, grid: Any, block: Any, given: Any, shared_mem: int) -> None:
        assert shared_mem == self.max_dynamic_shared_size_bytes <= 227 << 10
        self._launch(grid[0], block[0], *(_given(value) for value in given))


def _multiply(
    handle: int, t: int, p: int, m: int, n: int, k: int, one: int, a: int, _a: int, lda: int,
    b: int, _b: int, ldb: int, beta: int, c: int, *_: int,
) -> None:  # fmt: skip
    """cuBLAS' gemmEx, of int8 into int32, as many chains call it."""

    def at(pointer: int, kind: Any, rows: int, width: int) -> Any:
        memory = (ctypes.c_char * (rows * width * np.dtype(kind).itemsize)).from_address(pointer)
        return np.frombuffer(memory, kind).reshape(rows, width)

    z = at(c, np.int32, n, m)
    x = at(a, np.int8, m, lda)[:, :k].astype(np.float64)
    z[:] = z * at(beta, np.int32, 1, 1) + at(b, np.int8, n, ldb)[:, :k] @ x.T


def _module() -> dict[str, Any]:
    def there(function: Any) -> Any:
        return lambda *given, **named: function(*given, **named).view(Array)

    cupy: Any = types.ModuleType("cupy")
    for name in ("zeros", "empty", "asarray", "ascontiguousarray", "concatenate", "arange"):
        setattr(cupy, name, there(getattr(np, name)))
    for name in ("minimum", "maximum", "float32", "int8", "int32", "int64", "uint8", "uint64"):
        setattr(cupy, name, getattr(np, name))
    cuda, cublas = types.ModuleType("cupy.cuda"), types.ModuleType("cupy.cuda.cublas")
    cupy.cuda, cuda.cublas = cuda, cublas  # type: ignore[attr-defined]
    cublas.create, cublas.destroy = lambda: 1, lambda handle: None  # type: ignore[attr-defined]
    cublas.gemmEx = _multiply  # type: ignore[attr-defined]
    compiler: Any = types.ModuleType("distsim.gpu.compiler")
    compiler.compile_module = lambda name, **given: types.SimpleNamespace(
        get_function=lambda function: _Kernel(_library(name, **given))
    )
    driver: Any = types.ModuleType("distsim.gpu.driver")
    driver.multiprocessors = lambda: 2
    return {
        "cupy": cupy,
        "cupy.cuda": cuda,
        "cupy.cuda.cublas": cublas,
        "distsim.gpu.compiler": compiler,
        "distsim.gpu.driver": driver,
    }


@contextlib.contextmanager
def install() -> Iterator[None]:
    made = _module()
    names = (*made, *KNOW_CUPY)
    before = {name: sys.modules.pop(name, None) for name in names}
    package = importlib.import_module("distsim.gpu")
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
            short = name.removeprefix("distsim.gpu.")
            if hasattr(package, short):
                delattr(package, short)
            if module is not None and short != name:
                setattr(package, short, module)
