"""Where Numba keeps the compiled kernels: a folder named by all the sources that go into them.

Numba itself looks only at the file that holds a kernel: after a change of `philox.py` or
`elementary.py` it would go on with what it compiled before, and streams would differ in silence.
"""

import hashlib
import os
from pathlib import Path

from numba.core import config

_PACKAGE = Path(__file__).parents[1]
_SOURCES = [*sorted(Path(__file__).parent.glob("*.py")), _PACKAGE / "limits.py"]


def settle() -> None:
    """Choose the folder: under NUMBA_CACHE_DIR, else beside the sources, else the user's cache.

    To be called before the first kernel is declared.
    """
    code = b"".join(path.read_bytes() for path in _SOURCES)
    beside = _PACKAGE / "__pycache__"
    fallback = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distsim"
    writable = os.access(beside if beside.exists() else _PACKAGE, os.W_OK)
    folder = os.environ.get("NUMBA_CACHE_DIR") or (beside if writable else fallback)
    name = f"numba-{hashlib.sha256(code).hexdigest()[:16]}"
    config.CACHE_DIR = os.path.join(folder, name)  # type: ignore[attr-defined]
