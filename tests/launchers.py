"""How this machine starts ranks, by the mpirun of each MPI that is installed; its GPUs."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
OPENMPI = TESTS.parent / ".venv-openmpi" / "bin"  # made by launch/test

# Open MPI refuses the superuser, of containers for instance, unless told twice.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(TESTS.parent),
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    # A rank that waits leaves its core to others: here ranks are often more than cores.
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "10",
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
}


@functools.cache
def gpus() -> int:
    """How many GPUs CuPy finds."""
    try:
        import cupy
    except ImportError:
        return 0
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


@functools.cache
def found() -> dict[str, list[str]]:
    """Name of each MPI -> how to start python with it, but for the number of ranks."""
    launchers: dict[str, list[str]] = {}
    here = shutil.which("mpirun", path=f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}")
    for mpirun, python in ((here, sys.executable), (f"{OPENMPI}/mpirun", f"{OPENMPI}/python")):
        if mpirun is not None and os.path.exists(mpirun):
            version = subprocess.run([mpirun, "--version"], capture_output=True, text=True).stdout
            openmpi = "Open MPI" in version
            name, more = ("openmpi", ["--oversubscribe"]) if openmpi else ("mpich", [])
            launchers.setdefault(name, [mpirun, *more, "-n", "{ranks}", python])
    return launchers


needs_mpirun = pytest.mark.skipif(not found(), reason="no mpirun")
needs_mpich = pytest.mark.skipif("mpich" not in found(), reason="no mpirun of MPICH")


def python(ranks: int, mpi: str | None = None) -> list[str]:
    """The command of python on so many ranks, with that MPI or any."""
    command = found()[mpi] if mpi is not None else next(iter(found().values()))
    return [part.format(ranks=ranks) for part in command]


def start(ranks: int, *arguments: str, mpi: str | None = None) -> str:
    """Run python on so many ranks; its output."""
    done = subprocess.run(
        [*python(ranks, mpi), *arguments],
        capture_output=True, text=True, timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def digests(
    ranks: int, cases: list[dict[str, Any]], folder: Path, mpi: str | None = None
) -> list[str]:
    """The digest of each case, run on so many ranks; z == W x must hold at each end."""
    return [digest for digest, _ in observed(ranks, cases, folder, mpi)]


def observed(
    ranks: int, cases: list[dict[str, Any]], folder: Path, mpi: str | None = None
) -> list[tuple[str, str | None]]:
    """The same, and the digest of what each observed."""
    asked, made = folder / "cases.json", folder / "digests.json"
    asked.write_text(json.dumps(cases), encoding="utf-8")
    start(ranks, f"{TESTS}/streams.py", str(asked), str(made), mpi=mpi)
    runs = json.loads(made.read_text(encoding="utf-8"))
    assert len(runs) == len(cases)
    assert all(consistent for _, _, consistent in runs)
    return [(digest, total) for digest, total, _ in runs]
