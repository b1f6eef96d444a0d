"""The kernels compile: with nvcc and NVRTC where they are, neither of which needs a GPU."""

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from host_code import KERNELS

from distsim.gpu.constants import FLAGS, constants, definitions
from distsim.gpu.variants import LAYER_VARIANTS, VARIANTS
from distsim.gpu.walk_shape import walk_constants, walk_shape


def _with_nvcc(source: Path, options: list[str], folder: Path) -> str:
    """The log of a failure. What it makes is not run: without optimisation, in half the time."""
    fast = ["-Xcicc", "-O0", "-Xptxas", "-O0"]
    command = ["nvcc", "-cubin", *fast, *options, str(source), "-o", str(folder / "kernels.cubin")]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def _with_nvrtc(source: Path, options: list[str], folder: Path) -> str:
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(source.read_text(encoding="utf-8"), source.name, [], [])
    try:
        nvrtc.compileProgram(program, [*options, f"-I{source.parent}"])
    except nvrtc.NVRTCError:
        return str(nvrtc.getProgramLog(program))
    return ""


MANY = {"PLANES": 1, "PASS": 0, "ENERGIES": 1, "DIGEST": 1, "CLAMPED": 1}
COMPILERS = {
    "nvcc": (_with_nvcc, shutil.which("nvcc")),
    "nvrtc": (_with_nvrtc, importlib.util.find_spec("cupy")),
}


with_each = pytest.mark.parametrize(
    "compiler",
    [
        pytest.param(run, marks=pytest.mark.skipif(not there, reason=f"no {name} here"), id=name)
        for name, (run, there) in COMPILERS.items()
    ],
)


@with_each
@pytest.mark.parametrize(
    ("name", "bits", "z_bits", "boltzmann", "group", "more"),
    [
        ("relax.cu", 8, 32, 0, 64, {"COLUMN_BYTES": 16, "APART": 4}),
        ("relax.cu", 16, 32, 1, 128, {"SHARED_WORDS": 16}),
        ("relax.cu", 32, 64, 0, 32, {"COLUMN_BYTES": 4, "APART": 16, "MPM_TICK_BITS": 16}),
        ("race.cu", 8, 64, 0, 128, {"MPM_TICK_BITS": 16}),
        ("race.cu", 32, 64, 1, 128, {}),
        ("dense.cu", 16, 32, 0, 128, {}),
        ("gaussian.cu", 8, 32, 0, 128, {}),
        ("screen.cu", 8, 32, 1, 128, {}),
        (
            "resident.cu",
            16,
            32,
            1,
            128,
            {**VARIANTS[4].constants(), **MANY, "PASS": 1, "PLANES": 2},
        ),
        ("layers.cu", 16, 32, 1, 128, {**LAYER_VARIANTS[2].constants(), **MANY, "PLANES": 2}),
    ],
)
def test_kernels_compile(
    tmp_path: Path,
    name: str,
    bits: int,
    z_bits: int,
    boltzmann: int,
    group: int,
    more: dict[str, int],
    compiler: Callable[[Path, list[str], Path], str],
) -> None:
    chain = {"WEIGHT_BITS": bits, "Z_BITS": z_bits, "BOLTZMANN": boltzmann, "GROUP": group}
    given = constants(**{"COLUMN_BYTES": 8, "APART": 8, **chain, **more})
    assert not compiler(KERNELS / name, ["-arch=sm_90", *FLAGS, *definitions(given)], tmp_path)


@with_each
@pytest.mark.parametrize(
    ("neurons", "bits", "z_bits", "chains"),
    [(250, 8, 32, 3168), (20_000, 32, 64, 1)],
)
def test_the_kernel_that_walks_compiles(
    tmp_path: Path,
    neurons: int,
    bits: int,
    z_bits: int,
    chains: int,
    compiler: Callable[[Path, list[str], Path], str],
) -> None:
    shape = walk_shape(
        neurons, bits, z_bits, target=64, chains=chains, multiprocessors=132, shared=228 << 10
    )
    given = constants(**walk_constants(shape, neurons, bits, z_bits))
    options = ["-arch=sm_90", *FLAGS, *definitions(given)]
    assert not compiler(KERNELS / "walks.cu", options, tmp_path)
