"""What every picture needs: matplotlib (the extra `plot`), without a display, and a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distsim.errors import InputError
from distsim.files.places import check_writable


def pyplot() -> Any:
    """matplotlib's pyplot. Raises InputError if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise InputError(
            "matplotlib is not installed; a picture needs it: pip install 'distsim[plot]'"
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def check(path: str, *, overwrite: bool, source: str | None = None) -> None:
    """Refuse a picture that could not be saved, before the work for it. Raises InputError.

    source: a file that is read for it.
    """
    check_writable(path, overwrite, "picture", source)
    pyplot()
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix.removeprefix(".").lower() not in formats:
        endings = ", ".join(f".{name}" for name in sorted(formats))
        raise InputError(f"picture {path}: allowed: a name that ends with one of {endings}")


def save(figure: Any, path: str) -> None:
    """Write a figure; the ending of `path` names the format. Raises InputError."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"picture {path}: {error}") from None
    finally:
        pyplot().close(figure)
