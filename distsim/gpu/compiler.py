"""Compiles the kernels of `kernels/*.cu` by NVRTC, through CuPy.

CuPy keeps compiled kernels on disk; the hash of all sources is part of their name there.
"""

import hashlib
from pathlib import Path
from typing import Any

import cupy

_FOLDER = Path(__file__).parent


def compile_module(name: str, **constants: int) -> Any:
    """The kernels of one file with these -D constants. Raises RuntimeError with the log."""
    sources = b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.cu*")))
    options = (
        "-std=c++17",
        "--fmad=false",  # contraction would change bits
        f"-I{_FOLDER}",
        f"-DSOURCES=0x{hashlib.sha256(sources).hexdigest()[:15]}",
        *(f"-D{key}={value}" for key, value in constants.items()),
    )
    module = cupy.RawModule(
        code=(_FOLDER / name).read_text(encoding="utf-8"), options=options, backend="nvrtc"
    )
    try:
        module.compile()
    except cupy.cuda.compiler.CompileException as error:
        raise RuntimeError(f"kernels/{name} does not compile:\n{error.get_message()}") from error
    return module
