"""Model time has no unit: what one of it stands for is the user's word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distsim.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNITS = {"s": 1, "ms": 1000, "us": 1_000_000}  # of a second


def check_unit(place: str, unit: object) -> str:
    """A unit that was given. Raises InputError."""
    if not isinstance(unit, str) or unit not in UNITS:
        given = "none" if unit is None else str(unit)
        raise InputError(
            f"{place}: {given} given; allowed: {', '.join(UNITS)}, what one of model time "
            "(mpm), or one step (bm), stands for"
        )
    return unit


def converted(time: NDArray[np.float64], unit: str, to: str) -> NDArray[np.float64]:
    """Model time in units of `to`: the same numbers if it is `unit`, else rounded once."""
    if UNITS[to] < UNITS[unit]:
        return time / (UNITS[unit] // UNITS[to])
    return time * (UNITS[to] // UNITS[unit])
