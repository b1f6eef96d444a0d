"""Graphs in GraphML, read by NetworkX."""

from __future__ import annotations

from typing import Any

import numpy as np

from distsim.errors import InputError
from distsim.files.arrays import reading
from distsim.networks.checks import check_neurons
from distsim.networks.edges import csr
from distsim.networks.matrices import Sparse
from distsim.networks.text import counted, number, shown


def read_graphml(path: str) -> Sparse:
    """The network of a graph: W[target, source] is `weight` of the edge, both ways of one without
    direction, 1 where it has none; parallel edges are summed. Nodes are neurons, their ids names,
    and their populations `population`, where all have one. Raises InputError.
    """
    graph = _graph(path)
    check_neurons(path, len(graph))
    index = {name: i for i, name in enumerate(graph)}
    ends, weights, without = [], [], 0
    for source, target, data in graph.edges(data=True):
        without += "weight" not in data
        place = f"{path}, edge from {shown(source)} to {shown(target)}"
        weight = number(place, "weight", str(data.get("weight", 1)))
        both = not graph.is_directed() and source != target
        for pair in ((source, target), (target, source)) if both else ((source, target),):
            ends.append([index[node] for node in pair])
            weights.append(weight)
    notes = [f"{counted(without, 'edge')} without weight, each 1"] if without else []
    j, i = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    w = csr(np.array(weights, dtype=np.float64), i, j, len(graph))
    if len(weights) > w.nnz:
        notes.append(f"{counted(len(weights) - w.nnz, 'edge')} of pairs that came before, summed")
    network = Sparse(path, w, names=tuple(graph), notes=notes)
    populations = [data.get("population") for _, data in graph.nodes(data=True)]
    if None not in populations:
        network.population = tuple(map(str, populations))
    return network


def _graph(path: str) -> Any:
    """A networkx.MultiGraph or MultiDiGraph."""
    try:
        import networkx
    except ImportError as error:
        raise InputError(
            f"{path}: {error}; allowed: with the extra networkx (pip install 'distsim[networkx]')"
        ) from None
    with reading(path):
        try:
            return networkx.read_graphml(path, force_multigraph=True)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # NetworkX and the parser of XML answer damage as they like
            raise InputError(
                f"{path}: not a graph: {shown(str(error))}; allowed: GraphML"
            ) from None
