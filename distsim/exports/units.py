"""Model time has no unit: what one of it stands for is the user's word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distsim.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNITS = ("s", "ms", "us")


def check_unit(place: str, unit: object) -> str:
    """A unit that was given. Raises InputError."""
    if not isinstance(unit, str) or unit not in UNITS:
        given = "none" if unit is None else str(unit)
        raise InputError(
            f"{place}: {given} given; allowed: {', '.join(UNITS)}, what one of model time "
            "(mpm), or one step (bm), stands for"
        )
    return unit


def milliseconds(time: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Model time in ms: the same numbers by the unit ms, else rounded once."""
    if unit == "ms":
        return time
    return time * 1000.0 if unit == "s" else time / 1000.0
