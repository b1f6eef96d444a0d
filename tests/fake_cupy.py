"""A CuPy without a GPU: memory is this process's, and counted; kernels do nothing.

`install` puts it in CuPy's place, for the modules that know CuPy, until it is left.
"""

import contextlib
import ctypes
import importlib
import math
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

KNOW_CUPY = (
    "distsim.gpu.driver",
    "distsim.gpu.compiler",
    "distsim.gpu.dense",
    "distsim.gpu.peers",
    "distsim.gpu.walks",
    "distsim.gpu.launcher",
    "distsim.chains.gpu_setup",
    "distsim.chains.gpu_events",
    "distsim.chains.gpu",
)


class Gpu:
    """What a test wants to know, and to go wrong.

    held: bytes that are taken; left: allocations until there is no memory, or None; broken: a
    kernel has failed, and every wait for it does.
    """

    def __init__(self) -> None:
        self.held = 0
        self.left: int | None = None
        self.broken = False

    def take(self, owner: Any, size: int) -> None:
        if self.left is not None:
            if self.left == 0:
                raise MemoryError("out of the GPU's memory")
            self.left -= 1
        self.held += size
        weakref.finalize(owner, self._free, size)

    def _free(self, size: int) -> None:
        self.held -= size

    def wait(self) -> None:
        if self.broken:
            raise RuntimeError("a kernel has failed")


class _Array(np.ndarray[Any, np.dtype[Any]]):
    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self.ctypes.data)

    def get(self) -> Any:
        return np.array(self)

    def set(self, values: Any) -> None:
        self[...] = values


class _Stream:
    ptr = 0

    def __init__(self, gpu: Gpu) -> None:
        self.synchronize = gpu.wait

    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> None: ...

    def begin_capture(self) -> None: ...

    def end_capture(self) -> Any:
        return types.SimpleNamespace(launch=lambda stream: None)


def _cupy(gpu: Gpu) -> Any:
    def array(values: Any) -> Any:
        made = np.array(values).view(_Array)
        gpu.take(made, made.nbytes)
        return made

    class Memory:
        def __init__(self, size: int) -> None:
            gpu.take(self, size)
            self._bytes = np.zeros(size, np.uint8)
            self.ptr = self._bytes.ctypes.data

    class Module:
        def __init__(self, **given: Any) -> None:
            self._constants = ctypes.create_string_buffer(4096)

        def compile(self) -> None: ...

        def get_function(self, name: str) -> Any:
            def function(*given: Any, **more: Any) -> None: ...

            return function

        def get_global(self, name: str) -> Any:
            return types.SimpleNamespace(ptr=ctypes.addressof(self._constants))

    def pinned(size: int) -> Any:
        class Pinned(ctypes.c_uint8 * size):  # type: ignore[misc]
            @property
            def ptr(self) -> int:
                return ctypes.addressof(self)

        return Pinned()

    runtime = types.SimpleNamespace(
        memset=ctypes.memset,
        memcpy=lambda to, source, size, kind: ctypes.memmove(to, source, size),
        memcpyAsync=lambda to, source, size, kind, stream: ctypes.memmove(to, source, size),
        memGetInfo=lambda: (80 << 30, 80 << 30),
        CUDARuntimeError=RuntimeError,
    )
    cuda = types.SimpleNamespace(
        runtime=runtime,
        Memory=Memory,
        Stream=lambda non_blocking: _Stream(gpu),
        Device=lambda: types.SimpleNamespace(
            synchronize=gpu.wait,
            attributes={
                "MultiProcessorCount": 132,
                "MaxSharedMemoryPerMultiprocessor": 228 << 10,
            },
        ),
        MemoryPointer=lambda memory, offset: memory,
        alloc_pinned_memory=pinned,
        get_current_stream=lambda: _Stream(gpu),
        compiler=types.SimpleNamespace(CompileException=RuntimeError),
    )
    cupy: Any = types.ModuleType("cupy")
    cupy.cuda = cuda
    cupy.uint64, cupy.int64 = np.uint64, np.int64
    cupy.ndarray = lambda shape, kind, memory: memory._bytes.view(kind)[: math.prod(shape)].reshape(
        shape
    )
    cupy.zeros = lambda shape, kind=np.float64: array(np.zeros(shape, kind))
    cupy.asarray = array
    cupy.full = lambda shape, value, kind: array(np.full(shape, value, kind))
    cupy.RawModule = Module
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: None)
    return cupy


@contextlib.contextmanager
def install() -> Iterator[tuple[Gpu, Any]]:
    """A GPU, and `distsim.chains.gpu` on it."""
    gpu = Gpu()
    places = [name.rpartition(".")[::2] for name in KNOW_CUPY]
    packages = [importlib.import_module(package) for package, _ in places]
    saved = {name: sys.modules.pop(name, None) for name in (*KNOW_CUPY, "cupy")}
    sys.modules["cupy"] = _cupy(gpu)
    try:
        yield gpu, importlib.import_module("distsim.chains.gpu")
    finally:
        for name, module in saved.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
        for package, (_, name) in zip(packages, places, strict=True):
            module = saved[f"{package.__name__}.{name}"]
            if module is not None:
                setattr(package, name, module)
            elif hasattr(package, name):  # not all know the GPU
                delattr(package, name)
