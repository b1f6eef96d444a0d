"""Tables of edges: a row a connection, a synapse, or synapses of one kind.

Connectomes come with a header of many fashions (`WORDS`), with further columns, with several rows a
pair, and with ids of 18 digits. How a table was read is said in the notes of its network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.config.kinds import Columns
from distsim.config.network import NetworkOptions
from distsim.config.options import flag
from distsim.errors import InputError
from distsim.limits import MOST_NEURONS
from distsim.networks.checks import check_neurons
from distsim.networks.matrices import Sparse
from distsim.networks.rows import Edges, read_rows
from distsim.networks.tables import Table, named, no_columns, open_table
from distsim.networks.text import counted, shown

WORDS = {  # what the columns are called, in small letters without what is none
    "source": (
        "source", "pre", "from", "origin", "presynaptic", "sourceid", "sourcenodeid", "preid",
        "bodyidpre", "prerootid", "preptrootid",
    ),
    "target": (
        "target", "post", "to", "destination", "postsynaptic", "targetid", "targetnodeid", "postid",
        "bodyidpost", "postrootid", "postptrootid",
    ),
    "weight": (
        "weight", "synapses", "count", "syncount", "synweight", "nsynapses", "numberofsynapses",
        "numberofconnections",
    ),
}  # fmt: skip
_NUMERAL = re.compile(r"0*(\d+?)(\.0*)?", re.ASCII)


def read_edges(path: str, options: NetworkOptions) -> Sparse:
    """The network of a table: W[target, source]. Raises InputError with the line.

    Neurons have the integers by which they are called as indices, if all are below N (`options`
    has it, or may say otherwise: `ids`); others are numbered by first appearance.
    """
    with open_table(path, lambda place, header: _columns(place, header, options.columns)) as table:
        notes = _notes(table)
        edges = read_rows(table, options.inhibitory, notes)
    several = len(table.header) > 3 or table.found[2] is None
    numbers = _indices(edges, options, notes)
    by_name = numbers is None
    if numbers is None:
        numbers = np.arange(len(edges.names))
    neurons = options.neurons
    if neurons is None:
        neurons = int(numbers.max(initial=-1)) + 1
    check_neurons(path, neurons)
    source, target = numbers.astype(np.int32)[edges.ends.T]
    weights = csr(edges.weights, target, source, neurons)
    with np.errstate(over="ignore"):
        single = weights.data.astype(np.float32)
    if np.array_equal(single, weights.data):  # as numbers of synapses are
        weights.data = single
    more = len(edges.ends) - weights.nnz
    if more:
        if (options.repeats or ("sum" if several else "refuse")) == "refuse":
            raise _again(table, target.astype(np.int64) * neurons + source)
        notes.append(f"{counted(more, 'row')} of pairs that came before, summed")
    names = _filled(edges.names, neurons) if by_name else None
    return Sparse(path, weights, names=names, notes=notes)


def _columns(place: str, header: Sequence[str], asked: str | None) -> tuple[Any, ...]:
    """Source, target and weight in the header: those asked for, or by `WORDS`."""
    if asked is None:
        otherwise = f"; or {flag('columns')} {Columns.metavar}; or the head n m of rudy"
        return named(place, header, WORDS, optional="weight", otherwise=otherwise)
    columns = asked.split(",")
    for name in columns:
        if header.count(name) != 1:
            raise no_columns(place, header, f"{name} among them once, as {flag('columns')} says")
    found = [header.index(name) for name in columns]
    return tuple(found) if len(found) == 3 else (*found, None)


def _notes(table: Table) -> list[str]:
    """How a table is read, where it is none of source, target and weight alone."""
    used = [table.header[k] for k in table.found if k is not None]
    if sorted(used) == sorted(WORDS) == sorted(table.header):
        return []
    last = "" if table.found[2] is not None else ", each row a weight of 1"
    return [f"columns {', '.join(used)}{last}"]


def _indices(edges: Edges, options: NetworkOptions, notes: list[str]) -> NDArray[np.int64] | None:
    """The index of each neuron, in the order of their names, int64[names]; None: their names do
    not say. Raises InputError where they should, and for a neuron that is called in two ways."""
    limit = MOST_NEURONS if options.neurons is None else options.neurons
    ids, numerals = edges.ids, True
    if ids is None:
        matches = [_NUMERAL.fullmatch(name) for name in edges.names]
        numerals = all(matches)
        if numerals:
            _check_spelling(edges, [match[1] for match in matches if match])
        ids = np.array([_index(name) for name in edges.names], dtype=np.int64)
    fits = ids < limit
    if options.ids != "names" and fits.all() and ids.size:
        if ids.min() == 1:
            notes.append(f"ids from 1: neuron 0 has none ({flag('ids')} names: only those named)")
        return ids
    if options.ids == "indices" and ids.size:
        raise _unknown(edges, fits, f"0 to {limit - 1}")
    if ids.size > limit:
        raise _unknown(edges, np.arange(ids.size) < limit, f"{limit} different names")
    if options.ids is None and ids.size and numerals:
        first = list(edges.names)[int(np.argmin(fits))]
        notes.append(f"ids as names: {shown(first)} is no index below {limit}")
    return None


def _index(name: str) -> int:
    """The integer that a name is; beyond any limit if it is none, or has 19 digits."""
    integer = name.isascii() and name.isdigit() and len(name) < 19
    return int(name) if integer else MOST_NEURONS


def _check_spelling(edges: Edges, plain: Sequence[str]) -> None:
    """Refuse a number written in two ways, as 7 and 07; plain: without what makes no difference."""
    first = dict(zip(reversed(plain), reversed(range(len(plain))), strict=True))
    for k, digits in enumerate(plain):
        if first[digits] != k:
            names = list(edges.names)
            place = next(edges.table.places(int(np.argmax((edges.ends == k).any(axis=1)))))
            raise InputError(
                f"{place}: neuron {shown(names[k])} given, before as "
                f"{shown(names[first[digits]])}; allowed: one name a neuron"
            )


def _unknown(edges: Edges, known: NDArray[np.bool_], allowed: str) -> InputError:
    """The error for the first edge to a neuron that is not known; known: bool[names]."""
    k, end = divmod(int(np.argmin(known[edges.ends])), 2)
    name = shown(list(edges.names)[edges.ends[k, end]])
    return InputError(
        f"{next(edges.table.places(k))}: an edge to the unknown neuron {name}; allowed: {allowed}"
    )


def _filled(names: dict[str, int], neurons: int) -> tuple[str, ...]:
    """Names of all N, those that no edge names called by their indices."""
    others = list(map(str, range(len(names), neurons)))
    if not names.keys().isdisjoint(others):
        others = [f"#{other}" for other in others]
    return (*names, *others)


def _again(table: Table, key: NDArray[np.int64]) -> InputError:
    """The error for the second of two rows with the same key."""
    k, first = repeated(key)[0]
    line = next(table.places(first)).removeprefix(f"{table.path}, ")
    return InputError(
        f"{next(table.places(k))}: the edge of {line} again; "
        f"allowed: each edge once, or {flag('repeats')} sum"
    )


def repeated(key: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Of a key that came before, first: where, and where before; none without."""
    _, first, edge = np.unique(key, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[edge] != np.arange(key.size))[:1]
    return [(int(k), int(first[edge[k]])) for k in again]


def csr(weights: NDArray[np.float64], i: NDArray[Any], j: NDArray[Any], neurons: int) -> Any:
    """scipy.sparse.csr_array[N, N] of the entries W[i, j]."""
    from scipy.sparse import csr_array

    return csr_array((weights, (i, j)), shape=(neurons, neurons))
