"""This installation and this machine; and what a network would need.

MPI and CUDA are asked in processes of their own: nothing is started here that was not running,
and a broken installation costs a line of the table, not the table.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from distsim import __version__
from distsim.config.options import Config
from distsim.gpu.capacity import bytes_on_gpu
from distsim.laws.window import LARGEST_TARGET
from distsim.limits import MOST_NEURONS, amount
from distsim.networks.catalogue import open_network
from distsim.ranks import partition
from distsim.weights import capacity, fitting

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
        "available": fitting.available(),
        "limit": MOST_NEURONS,
        "gpus": _gpus(),
    }


def of_network(config: Config) -> dict[str, Any]:
    """Name and neurons of a network, and how many synapses at most it holds sparse: None where it
    is a matrix of all. Nothing but what its file must tell is read. Raises InputError."""
    network = open_network(config)
    return {
        "name": network.name,
        "neurons": network.neurons,
        "synapses": network.entries(0, network.neurons),
    }


def needs(
    neurons: int, weight_bits: int, sizes: Iterable[int], synapses: int | None = None
) -> list[dict[str, Any]]:
    """Bytes of weights, dense and sparse, and of state on the largest rank, and in all on a GPU, by
    ranks.

    here, here_sparse: how many such ranks the memory that is available on this host holds; beyond:
    whether no network may have so many neurons. sparse, here_sparse: None without `synapses`.
    """
    available = fitting.available()

    def here(size: int, entries: int | None) -> int:
        return min(size, available // capacity.bytes_on_host(neurons, weight_bits, size, entries))

    return [
        {
            "ranks": size,
            "neurons": partition.most(neurons, size),
            "weights": capacity.bytes_of_weights(neurons, weight_bits, size),
            "sparse": None
            if synapses is None
            else capacity.bytes_of_sparse(neurons, weight_bits, size, synapses),
            "state": capacity.bytes_of_state(neurons, size),
            "here": here(size, None),
            "here_sparse": None if synapses is None else here(size, synapses),
            "gpu": bytes_on_gpu(neurons, weight_bits, LARGEST_TARGET, size),
            "beyond": neurons > MOST_NEURONS,
        }
        for size in sizes
    ]


def table(
    found: dict[str, Any],
    rows: list[dict[str, Any]] | None,
    network: dict[str, Any] | None = None,
) -> str:
    """All as text."""
    shown = {
        **found,
        "memory": f"{amount(found['memory'])}, {amount(found['available'])} available",
        "gpus": "; ".join(found["gpus"]) or "none found",
        "limit": f"{found['limit']:,} neurons a network",
    }
    del shown["available"]
    lines = [f"{name:9}{'not installed' if text is None else text}" for name, text in shown.items()]
    if network is not None:
        lines.append(f"\nnetwork  {network['name']}: {_size(network)}")
    if rows is not None:
        sparse = rows[0]["sparse"] is not None
        middle = f"{'sparse':>12}" if sparse else ""
        head = f"{'ranks':>7}{'neurons':>12}{'weights':>12}{middle}{'state':>12}{'on a GPU':>12}"
        which = ": dense, sparse" if sparse else ""
        lines.append(f"\n{head}   of each rank; how many fit into the memory here{which}")
        for row in rows:
            middle = f"{amount(row['sparse']):>12}" if sparse else ""
            fits = f"{row['here'] or 'none'}"
            fits += f", {row['here_sparse'] or 'none'}" if sparse else ""
            lines.append(
                f"{row['ranks']:7}{row['neurons']:12,}{amount(row['weights']):>12}{middle}"
                f"{amount(row['state']):>12}{amount(row['gpu']):>12}   {fits}"
            )
        if any(row["beyond"] for row in rows):
            lines.append(f"beyond the limit: no network has more than {MOST_NEURONS:,} neurons")
    return "\n".join(lines)


def _size(network: dict[str, Any]) -> str:
    neurons, synapses = network["neurons"], network["synapses"]
    if synapses is None:
        return f"{neurons:,} neurons, a matrix of all weights"
    share = synapses / neurons**2
    return f"{neurons:,} neurons, {synapses:,} synapses, {100 * share:.3g}% of all pairs"


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
            ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return [f"nvidia-smi: no answer in {TIMEOUT} s"]
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
