"""Edge lists: tables of connections."""

from __future__ import annotations

import csv
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.limits import MOST_NEURONS
from distsim.networks.checks import check_neurons
from distsim.networks.matrices import Sparse
from distsim.networks.text import number, open_text, shown

COLUMNS = ("source", "target", "weight")


def read_edges(path: str, neurons: int | None) -> Sparse:
    """An edge list. Neurons whose names are all integers are numbered by them, others in order of
    first appearance, the source of a row before its target. `neurons`: N, if it is given."""
    names, ends, weights, line = _parse_edges(path)
    numbered = all(name.isascii() and name.isdigit() for name in names)
    if numbered:  # a name of 19 digits is beyond any limit
        numbers = [int(name) if len(name) < 19 else MOST_NEURONS for name in names]
    else:
        numbers = list(range(len(names)))
    limit = MOST_NEURONS if neurons is None else neurons
    unknown = np.array(numbers, dtype=np.int64)[ends] >= limit
    if unknown.any():
        k, end = divmod(int(np.argmax(unknown)), 2)
        allowed = f"0 to {limit - 1}" if numbered else f"{limit} different names"
        name = shown(list(names)[ends[k, end]])
        raise InputError(
            f"{path}, line {line[k]}: an edge to the unknown neuron {name}; allowed: {allowed}"
        )
    if neurons is None:
        neurons = max(numbers, default=-1) + 1
    check_neurons(path, neurons)
    source, target = np.array(numbers, dtype=np.int64)[ends].T
    check_distinct(path, target * neurons + source, line)
    named = None if numbered else (*names, *map(str, range(len(names), neurons)))
    return Sparse(path, csr(weights, target, source, neurons), names=named)


def _parse_edges(
    path: str,
) -> tuple[dict[str, int], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Names, numbered in order of first appearance, and of each edge its ends [edges, 2] (source,
    target) in these numbers, its weight [edges], and its line in the file [edges]."""
    names: dict[str, int] = {}
    ends, weights, lines = array("q"), array("d"), array("q")
    with open_text(path) as file:
        reader = csv.reader(file, strict=True)
        columns = [name.strip() for name in next(reader, [])]
        if sorted(columns) != sorted(COLUMNS):
            raise InputError(
                f"{path}, line 1: columns {shown(', '.join(columns)) or 'none'} given; "
                f"allowed: {', '.join(COLUMNS)}"
            )
        order = [columns.index(name) for name in COLUMNS]
        for fields in reader:
            if not fields:  # an empty line
                continue
            place = f"{path}, line {reader.line_num}"
            if len(fields) != len(COLUMNS):
                raise InputError(
                    f"{place}: {len(fields)} fields given; allowed: {', '.join(COLUMNS)}"
                )
            source, target, weight = (fields[k].strip() for k in order)
            if not source or not target:
                raise InputError(f"{place}: a neuron without a name; allowed: a name or a number")
            ends.append(names.setdefault(source, len(names)))
            ends.append(names.setdefault(target, len(names)))
            weights.append(number(place, "weight", weight))
            lines.append(reader.line_num)
    return (
        names,
        np.array(ends, dtype=np.int64).reshape(-1, 2),
        np.array(weights, dtype=np.float64),
        np.array(lines, dtype=np.int64),
    )


def check_distinct(path: str, key: NDArray[np.int64], line: NDArray[np.int64]) -> None:
    """Refuse the second of two edges with the same key."""
    _, first, edge = np.unique(key, return_index=True, return_inverse=True)
    again = first[edge] != np.arange(key.size)
    if again.any():
        k = int(np.argmax(again))
        raise InputError(
            f"{path}, line {line[k]}: the edge of line {line[first[edge[k]]]} again; "
            "allowed: each edge once"
        )


def csr(
    weights: NDArray[np.float64], i: NDArray[np.int64], j: NDArray[np.int64], neurons: int
) -> Any:
    """scipy.sparse.csr_array[N, N] of the entries W[i, j]."""
    from scipy.sparse import csr_array

    return csr_array((weights, (i, j)), shape=(neurons, neurons))
