"""The device's code as host code: what both languages compute is compared by the tests."""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distsim import kernels
from distsim.gpu.constants import constants, definitions

KERNELS = Path(kernels.__file__).parent
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")


@functools.cache
def library(source: str, **given: int) -> ctypes.CDLL:
    """C++ that includes kernels/*.cuh, compiled with the constants of all kernels and these."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "host.cpp").write_text(source, encoding="utf-8")
        subprocess.run(
            [
                "g++", "-O2", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC",
                f"-I{KERNELS}", *definitions(constants(**given)), "host.cpp", "-o", "host.so",
            ],
            cwd=folder, check=True,
        )  # fmt: skip
        return ctypes.CDLL(f"{folder}/host.so")


def call(function: Any, *given: Any) -> None:
    """Call a C function: arrays as pointers, floats as double, integers as 64 bits."""
    function.restype = None
    function(
        *(
            ctypes.c_void_p(value.ctypes.data)
            if isinstance(value, np.ndarray)
            else ctypes.c_double(value)
            if isinstance(value, float)
            else ctypes.c_longlong(value)
            if isinstance(value, int)
            else value
            for value in given
        )
    )
