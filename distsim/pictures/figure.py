"""What every picture needs: matplotlib (the extra `plot`), without a display, and a file.

No picture touches pyplot: a notebook keeps its backend.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distsim.errors import InputError
from distsim.files.places import check_writable

# One palette: text and dots; what is measured; a second measure; areas; a third line.
INK, ACCENT, SECOND, PALE, GREY = "#1b2a41", "#c8553d", "#2a7f9e", "#d9dee5", "#8a94a3"


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in inches. Raises InputError if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "matplotlib is not installed; a picture needs it: pip install 'distsim[plot]'"
        ) from None
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def plain(axes: Any) -> None:
    """Axes in the style of all pictures."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)


def check(path: str, *, overwrite: bool, source: str | None = None) -> None:
    """Refuse a picture that could not be saved, before the work for it. Raises InputError.

    source: a file that is read for it.
    """
    check_writable(path, overwrite, "picture", source)
    formats = new_figure(1, 1).canvas.get_supported_filetypes()
    if Path(path).suffix.removeprefix(".").lower() not in formats:
        endings = ", ".join(f".{name}" for name in sorted(formats))
        raise InputError(f"picture {path}: allowed: a name that ends with one of {endings}")


def save(figure: Any, path: str) -> None:
    """Write a figure; the ending of `path` names the format. Raises InputError."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"picture {path}: {error}") from None
