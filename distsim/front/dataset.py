"""Observables as an xarray.Dataset, as ArviZ and others take them: dims chain, draw, neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError

if TYPE_CHECKING:
    import xarray


def on_rungs(
    name: str, values: NDArray[Any], tempering: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    """Rows of chains, [R, D, ...], as rows of rungs. Raises InputError where there are none."""
    if "chain" not in tempering or name == "time":
        raise InputError(f"by_rung: {name}, of chains that swap no temperatures; allowed: temper=")
    chain = tempering["chain"].T.reshape(*values.shape[:2], *[1] * (values.ndim - 2))
    return np.take_along_axis(values, chain, axis=0)


def dataset(
    observables: Mapping[str, NDArray[Any]],
    chains: Sequence[int],
    neurons: Sequence[Any],
    attributes: Mapping[str, str],
    population: Sequence[str] | None = None,
) -> xarray.Dataset:
    """chain: replicas; draw: the samples, at their times; neuron: their names, or indices;
    population: of each neuron, where it is known.

    observables: by the names of their datasets, [R, ...], samples as uint8[R, D, N]. What is not a
    row a sample has no draw: best_energy, best_time, best_state, and moments, between the neurons
    first and second. Raises InputError without xarray.
    """
    try:
        import xarray
    except ImportError as error:
        raise InputError(
            f"to_xarray: {error}; allowed: with the extra xarray (pip install distsim[xarray])"
        ) from None
    found: dict[str, tuple[tuple[str, ...], Any]] = {}
    coordinates: dict[str, Any] = {
        "chain": list(chains),
        "draw": observables["time"][0],
        "neuron": list(neurons),
    }
    if population is not None:
        coordinates["population"] = "neuron", list(population)
    for name, values in observables.items():
        dims: tuple[str, ...] = ("draw", "neuron")[: values.ndim - 1]
        if name == "moments":
            dims = ("first", "second")
        elif name == "moments_of":
            coordinates["first"] = coordinates["second"] = [neurons[i] for i in values[0]]
        elif name == "best/state":
            dims = ("neuron",)
        if name not in ("time", "moments_of"):
            found[name.replace("/", "_")] = ("chain", *dims), values
    return xarray.Dataset(found, coordinates, attributes)
