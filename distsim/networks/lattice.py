"""Cell types in a hexagonal lattice of columns: a small table describes millions of connections.

    {"nodes": [{"name": "L1", "pattern": ["stride", [1, 1]]}, ...],
     "edges": [{"src": "R1", "tar": "L1", "alpha": -1, "offsets": [[[du, dv], count], ...]}, ...]}

is the form of flyvis. A type has a neuron in each column (u, v), in axial coordinates, where its
strides divide u and v. W from the src of a column onto the tar of the column (du, dv) further is
alpha times count. What leads out of the lattice is cut off; neurons without any connection are left
out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.config.network import LOBE
from distsim.errors import InputError
from distsim.files.arrays import reading
from distsim.networks.checks import check_neurons
from distsim.networks.edges import csr
from distsim.networks.matrices import Sparse
from distsim.networks.text import open_text, shown
from distsim.weights.fitting import check_bytes

EXTENT = 15  # of the fly's eye
_EDGE_BYTES = 64  # of a connection, while the matrix is made
_ALLOWED = "cell types in a lattice: nodes of name and pattern, edges of src, tar, alpha, offsets"


class _Cells(NamedTuple):
    """The neurons of a type: where each is, int64[n]; number: int64[2 R + 1, 2 R + 1], of that in
    the column (u, v), at [u + R, v + R], or -1."""

    u: NDArray[np.int64]
    v: NDArray[np.int64]
    number: NDArray[np.int64]


def optic_lobe(extent: int | None, *, symmetric: bool) -> Sparse:
    """The optic lobe of the fly: 65 types of cells, of 15 rings of columns 45,607 neurons with
    1,357,269 connections, signed mean numbers of synapses.

    symmetric: (W + W') / 2; it has no diagonal. Lappalainen et al., Nature 634 (2024) 1132.
    """
    file = resources.files("distsim.networks").joinpath("data/optic_lobe.json")
    lattice = json.loads(file.read_text(encoding="utf-8"))
    network = _made(LOBE, lattice, extent)
    if not symmetric:
        return network
    rows = network.whole()
    made = Sparse(LOBE, (rows + rows.T) / 2, names=network.names)
    made.population = network.population
    return made


def read_lattice(path: str, extent: int | None) -> Sparse:
    """The network of such a file. Raises InputError."""
    with reading(path), open_text(path) as file:
        try:
            lattice = json.load(file)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}: not JSON: {shown(str(error))}; allowed: {_ALLOWED}"
            ) from None
    try:
        return _made(path, lattice, extent)
    except InputError:
        raise
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        what = f"{type(error).__name__} {shown(str(error))}"
        raise InputError(f"{path}: no such lattice: {what}; allowed: {_ALLOWED}") from None


def _made(name: str, lattice: Mapping[str, Any], extent: int | None) -> Sparse:
    extent = EXTENT if extent is None else extent
    columns = 3 * extent * (extent + 1) + 1
    offsets = sum(len(edge["offsets"]) for edge in lattice["edges"])
    check_bytes(
        name, f"{columns:,} columns of {offsets:,} offsets", columns * offsets * _EDGE_BYTES
    )
    cells = _cells(lattice, extent)
    neurons = sum(one.u.size for one in cells.values())
    check_neurons(name, neurons)
    parts = list(_connections(name, lattice, cells, extent))
    source, target = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    weights = np.concatenate([part[2] for part in parts])
    connected = np.zeros(neurons, bool)
    connected[source] = connected[target] = True
    number = np.cumsum(connected) - 1
    check_neurons(name, int(connected.sum()))
    matrix = csr(weights, number[target], number[source], int(connected.sum()))
    places = [
        (kind, f"{kind}/{u}/{v}")
        for kind, one in cells.items()
        for u, v in zip(one.u.tolist(), one.v.tolist(), strict=True)
    ]
    kept = [places[i] for i in np.flatnonzero(connected)]
    network = Sparse(name, matrix, names=tuple(place for _, place in kept))
    network.population = tuple(kind for kind, _ in kept)
    return network


def _cells(lattice: Mapping[str, Any], extent: int) -> dict[str, _Cells]:
    """The neurons of each type, numbered type by type, u by u."""
    axis = np.arange(-extent, extent + 1)
    u, v = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    inside = np.abs(u + v) <= extent
    cells: dict[str, _Cells] = {}
    before = 0
    for node in lattice["nodes"]:
        kind, (form, (step_u, step_v)) = str(node["name"]), node["pattern"]
        if form != "stride" or not (step_u >= 1 and step_v >= 1):
            raise ValueError(f"pattern {form} {step_u} {step_v} of {kind}")
        if kind in cells:
            raise ValueError(f"{kind} again")
        k = np.flatnonzero(inside & (u % step_u == 0) & (v % step_v == 0))
        number = np.full((axis.size, axis.size), -1)
        number[u[k] + extent, v[k] + extent] = before + np.arange(k.size)
        cells[kind] = _Cells(u[k], v[k], number)
        before += k.size
    return cells


def _connections(
    name: str, lattice: Mapping[str, Any], cells: Mapping[str, _Cells], extent: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Sources, targets and weights, an offset at a time; first of none."""
    yield np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    for edge in lattice["edges"]:
        before, after = cells[edge["src"]], cells[edge["tar"]]
        for (du, dv), count in edge["offsets"]:
            weight = float(edge["alpha"] * count)
            if not math.isfinite(weight):
                raise InputError(
                    f"{name}: weight {weight} from {edge['src']} onto {edge['tar']} given; "
                    "allowed: finite numbers"
                )
            u, v = before.u + int(du), before.v + int(dv)
            inside = np.flatnonzero((np.abs(u) <= extent) & (np.abs(v) <= extent))
            target = after.number[u[inside] + extent, v[inside] + extent]
            kept = np.flatnonzero(target >= 0)
            k = inside[kept]
            yield (
                before.number[before.u[k] + extent, before.v[k] + extent],
                target[kept],
                (np.full(k.size, weight)),
            )
