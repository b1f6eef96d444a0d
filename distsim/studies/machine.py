"""This installation and this machine; and what a network of N neurons would need.

MPI and CUDA are asked in processes of their own: nothing is started here that was not running,
and a broken installation costs a line of the table, not the table.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from distsim import __version__
from distsim.gpu import capacity
from distsim.laws.window import LARGEST_TARGET
from distsim.ranks import partition

if TYPE_CHECKING:
    from distsim.ranks.communicator import Communicator


PACKAGES = ("numpy", "numba", "h5py", "scipy", "click", "mpi4py")
MPI_LIBRARY = (
    "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; "
    "print(MPI.Get_library_version())"
)
CUPY = (
    "import cupy; v = cupy.cuda.runtime.runtimeGetVersion(); "
    "print(f'{cupy.__version__}, CUDA {v // 1000}.{v % 1000 // 10}')"
)
TIMEOUT = 30  # seconds
# Bytes of a local neuron besides its weights: its states, responses and bounds on them, bias and
# what an engine and a law keep for it; of every neuron on each rank: its initial and final state.
LOCAL_BYTES_ON_CPU, GLOBAL_BYTES_ON_CPU = 123, 2


def machine(ranks: Communicator) -> dict[str, Any]:
    """Versions, ranks, GPUs and memory of the machine of this rank."""
    return {
        "distsim": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "mpi": ranks.library or _ask("mpi4py", MPI_LIBRARY),
        "cupy": _ask("cupy", CUPY),
        "ranks": ranks.size,
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpus(),
    }


def needs(neurons: int, weight_bits: int, sizes: Iterable[int]) -> list[dict[str, int]]:
    """Bytes of weights and of state on the largest rank, and in all on a GPU, by ranks."""
    rows = []
    for size in sizes:
        local = neurons - partition.start(size - 1, neurons, size)  # no rank owns more
        weights = neurons * local * weight_bits // 8
        state = LOCAL_BYTES_ON_CPU * local + GLOBAL_BYTES_ON_CPU * neurons
        gpu = capacity.bytes_on_gpu(neurons, weight_bits, LARGEST_TARGET, size)
        rows.append(
            {"ranks": size, "neurons": local, "weights": weights, "state": state, "gpu": gpu}
        )
    return rows


def table(found: dict[str, Any], rows: list[dict[str, int]] | None) -> str:
    """Both as text."""
    shown = {**found, "memory": amount(found["memory"])}
    shown["gpus"] = "; ".join(found["gpus"]) or "none found"
    lines = [f"{name:9}{'not installed' if text is None else text}" for name, text in shown.items()]
    if rows is not None:
        head = f"{'ranks':>7}{'neurons':>12}{'weights':>12}{'state':>12}{'on a GPU':>12}"
        lines.append(f"\n{head}   of each rank")
        lines += [
            f"{row['ranks']:7}{row['neurons']:12,}{amount(row['weights']):>12}"
            f"{amount(row['state']):>12}{amount(row['gpu']):>12}"
            for row in rows
        ]
    return "\n".join(lines)


def amount(count: float) -> str:
    """A number of bytes in words."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _ask(module: str, program: str) -> str | None:
    """The first line that a Python program prints, or its last of complaint; None: no module."""
    if importlib.util.find_spec(module) is None:
        return None
    try:
        answer = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {TIMEOUT} s"
    if answer.returncode:
        return "fails: " + (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
    return " ".join(answer.stdout.splitlines()[0].split())


def _gpus() -> list[str]:
    """Name and memory of each GPU, as the driver tells."""
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,capacity.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return [f"nvidia-smi: no answer in {TIMEOUT} s"]
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
