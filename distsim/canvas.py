"""What every picture needs: matplotlib (the extra `plot`), without a display, and a file."""

from __future__ import annotations

from typing import Any

from distsim.errors import InputError


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


def save(figure: Any, path: str) -> None:
    """Write a figure; the ending of `path` names the format. Raises InputError."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"picture {path}: {error}") from None
    finally:
        pyplot().close(figure)
