"""How this machine starts ranks, by the mpirun of each MPI that is installed; its GPUs."""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
OPENMPI = TESTS.parent / ".venv-openmpi" / "bin"  # made by launch/test

# Open MPI refuses the superuser, of containers for instance, unless told twice.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(TESTS.parent),
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}


@functools.cache
def gpus() -> int:
    """How many GPUs CuPy finds."""
    if importlib.util.find_spec("cupy") is None:
        return 0
    import cupy

    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def found() -> dict[str, list[str]]:
    """Name of each MPI -> how to start python with it, but for the number of ranks."""
    launchers = {}
    mpirun = shutil.which("mpirun", path=f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}")
    if mpirun is not None:
        launchers["mpich"] = [mpirun, "-n", "{ranks}", sys.executable]
    if (OPENMPI / "mpirun").exists():
        mpirun = str(OPENMPI / "mpirun")
        launchers["openmpi"] = [mpirun, "--oversubscribe", "-n", "{ranks}", f"{OPENMPI}/python"]
    return launchers


def start(mpi: str, ranks: int, *arguments: str) -> str:
    """Run python on so many ranks; its output."""
    command = [part.format(ranks=ranks) for part in found()[mpi]]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=300, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def digests(mpi: str, ranks: int, cases: list[dict[str, Any]], folder: Path) -> list[str]:
    """The digest of each case, run on so many ranks; z == W x must hold at each end."""
    asked, made = folder / "cases.json", folder / "digests.json"
    asked.write_text(json.dumps(cases), encoding="utf-8")
    start(mpi, ranks, f"{TESTS}/streams.py", str(asked), str(made))
    runs = json.loads(made.read_text(encoding="utf-8"))
    assert len(runs) == len(cases)
    assert all(consistent for _, consistent in runs)
    return [digest for digest, _ in runs]
