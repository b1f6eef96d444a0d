"""Compiles the kernels of `kernels/*.cu` by NVRTC, through CuPy.

CuPy keeps compiled kernels on disk; the hash of all sources is part of their name there.
"""

import hashlib
from pathlib import Path
from typing import Any

import cupy

from distsim import kernels
from distsim.gpu.constants import FLAGS, constants, definitions

_FOLDER = Path(kernels.__file__).parent


def compile_module(name: str, **given: int) -> Any:
    """The kernels of one file, with these constants besides those of all kernels (`constants.py`).

    Raises RuntimeError with the log.
    """
    sources = b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.cu*")))
    options = (
        *FLAGS,
        f"-I{_FOLDER}",
        f"-DSOURCES=0x{hashlib.sha256(sources).hexdigest()[:15]}",
        *definitions(constants(**given)),
    )
    module = cupy.RawModule(
        code=(_FOLDER / name).read_text(encoding="utf-8"), options=options, backend="nvrtc"
    )
    try:
        module.compile()
    except cupy.cuda.compiler.CompileException as error:
        raise RuntimeError(f"kernels/{name} does not compile:\n{error.get_message()}") from error
    return module
