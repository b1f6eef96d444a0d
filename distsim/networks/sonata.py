"""Edges in SONATA's files (github.com/AllenInstitute/sonata), by h5py.

/edges/<population>/source_node_id, target_node_id   integers[edges], with an attribute each,
                                                     node_population: in whose numbers
/edges/<population>/0/syn_weight                     numbers[edges], perhaps
/nodes/<population>/node_type_id                     in the same file, perhaps: how many there are
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files.arrays import check_real, reading
from distsim.limits import MOST_NEURONS
from distsim.networks.checks import check_neurons
from distsim.networks.edges import csr
from distsim.networks.matrices import Sparse
from distsim.networks.text import counted, shown


class Edges(NamedTuple):
    """Edges of one population: the node populations of their ends, ids int64[edges], weights."""

    populations: tuple[str, str]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weights: NDArray[np.float64]


def read_sonata(path: str, neurons: int | None) -> Sparse:
    """All edges of a file: W[target, source] is the sum of a pair's weights. Raises InputError.

    Node populations follow each other as edges name them, each as long as the file says, or as its
    last neuron with an edge. neurons: N, of one population. Of several, neurons have names,
    POPULATION:ID.
    """
    import h5py

    notes: list[str] = []
    with _undamaged(path), h5py.File(path, "r") as file:
        if "edges" not in file:
            groups = ", ".join(file) or "nothing"
            raise InputError(f"{path}: /{groups} given; allowed: SONATA's edges, with /edges")
        edges = [_edges(path, name, group, notes) for name, group in file["edges"].items()]
        sizes = _sizes(path, file, edges, neurons)
    total = sum(sizes.values())
    check_neurons(path, total)
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    ends = [
        np.concatenate([starts[one.populations[k]] + one[k + 1] for one in edges]) for k in (0, 1)
    ]
    w = csr(np.concatenate([one.weights for one in edges]), ends[1], ends[0], total)
    if len(ends[0]) > w.nnz:
        notes.append(f"{counted(len(ends[0]) - w.nnz, 'edge')} of pairs that came before, summed")
    names = [f"{name}:{k}" for name, size in sizes.items() for k in range(size)]
    network = Sparse(path, w, names=tuple(names) if len(sizes) > 1 else None, notes=notes)
    network.population = tuple(name for name, size in sizes.items() for _ in range(size))
    return network


@contextmanager
def _undamaged(path: str) -> Iterator[None]:
    """Raise InputError for what h5py says of a file that is not what it is taken for."""
    try:
        with reading(path):
            yield
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not SONATA's edges: {shown(str(error))}") from None


def _edges(path: str, name: str, group: Any, notes: list[str]) -> Edges:
    """The edges of /edges/<name>."""
    place = f"{path}, /edges/{name}"
    found = []
    for end in ("source_node_id", "target_node_id"):
        if end not in group or "node_population" not in group[end].attrs:
            raise InputError(f"{place}: no {end} with its node_population; allowed: SONATA's edges")
        ids = group[end][:]
        check_real(f"{place}/{end}", ids.dtype)
        if ids.ndim != 1 or (ids.size and not 0 <= ids.min() <= ids.max() < MOST_NEURONS):
            raise InputError(f"{place}/{end}: allowed: integers from 0 to {MOST_NEURONS - 1}")
        found.append(ids.astype(np.int64))
    populations = [_text(group[f"{end}_node_id"].attrs) for end in ("source", "target")]
    count = found[0].size
    if "edge_group_id" in group and np.any(group["edge_group_id"][:] != 0):
        raise InputError(f"{place}: edges of several groups given; allowed: of group 0 alone")
    weights = np.ones(count)
    if "syn_weight" in group.get("0", ()):
        weights = group["0/syn_weight"][:]
        check_real(f"{place}/0/syn_weight", weights.dtype)
        if "edge_group_index" in group:
            weights = weights[group["edge_group_index"][:]]
    else:
        notes.append(f"{shown(name)} has no syn_weight, each edge a weight of 1")
    if not found[1].size == weights.size == count:
        raise InputError(f"{place}: columns of different length given; allowed: a value an edge")
    ends = populations[0], populations[1]
    return Edges(ends, found[0], found[1], weights.astype(np.float64))


def _text(attributes: Any) -> str:
    value = attributes["node_population"]
    return value.decode() if isinstance(value, bytes) else str(value)


def _sizes(path: str, file: Any, edges: list[Edges], neurons: int | None) -> dict[str, int]:
    """How many neurons each node population has."""
    sizes: dict[str, int] = {}
    for one in edges:
        for name, ids in zip(one.populations, one[1:3], strict=True):
            sizes[name] = max(sizes.get(name, 0), int(ids.max(initial=-1)) + 1)
    if neurons is not None and len(sizes) != 1:
        raise InputError(
            f"{path}: --neurons {neurons} given for {len(sizes)} populations of neurons "
            f"({shown(', '.join(sizes))}); allowed: for one"
        )
    for name, least in sizes.items():
        nodes = file.get(f"nodes/{name}/node_type_id")
        size = (least if nodes is None else len(nodes)) if neurons is None else neurons
        if size < least:
            raise InputError(
                f"{path}: an edge to neuron {least - 1} of {shown(name)}, which has {size}; "
                f"allowed: 0 to {size - 1}"
            )
        sizes[name] = size
    return sizes
