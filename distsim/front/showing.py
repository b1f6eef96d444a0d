"""Where a program's user sees how far a run is."""

import sys
from io import TextIOBase
from typing import Any

from distsim.config.kinds import short
from distsim.errors import InputError
from distsim.runs.progress import Display, display


class _Notebook(TextIOBase):
    """Standard error of a notebook, which can rewrite a line as a terminal can."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def shown(wanted: Any, *, root: bool = True) -> Display | None:
    """What shows progress, on the root. wanted: True, False, or None: on a terminal or in a
    notebook. Raises InputError."""
    if not isinstance(wanted, bool | None):
        raise InputError(f"show_progress: {short(wanted)} given; allowed: True, False or None")
    if not root or wanted is False or sys.stderr is None:
        return None
    if in_notebook():
        return display(_Notebook())  # type: ignore[arg-type]
    return display() if wanted or sys.stderr.isatty() else None


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
