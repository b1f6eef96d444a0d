"""The rows of a table of edges: which neurons, which weights, and which row is bad.

Rows of integers, most of a large connectome's, are read by NumPy's parser; names, and what it does
not take, by the csv module and a dictionary. Both give the same edges.
"""

from __future__ import annotations

import re
import warnings
from array import array
from collections import defaultdict
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim.config.options import flag
from distsim.errors import InputError
from distsim.limits import MOST_NEURONS
from distsim.networks.tables import Rows, Table, no_columns
from distsim.networks.text import counted, number, open_text, shown

_READ = 1 << 20  # characters at a time
_EDGES = 1 << 16  # edges at a time
# What NumPy would take and the rows would not, or in another way: quotes, empty fields in a line of
# nothing, and numbers in a way that their values do not tell.
_OTHERS = re.compile(r'"|\n[ \t]+\r?\n|[\s,;](\+|0\d)')


class Edges(NamedTuple):
    """names: each with its number, by first appearance, the source of a row before its target;
    of each edge its ends in these numbers, int[edges, 2] (source, target), and its weight; ids:
    int64[names], where all names are integers from 0 on, each written in one way; else None.
    """

    table: Table
    names: dict[str, int]
    ends: NDArray[Any]
    weights: NDArray[np.float64]
    ids: NDArray[np.int64] | None = None


def read_rows(table: Table, inhibitory: str | None, notes: list[str]) -> Edges:
    """All rows. Raises InputError with the line."""
    try:
        edges, count = _integers(table, inhibitory)
    except (ValueError, Warning):  # what is wrong, if anything is, the rows will say
        edges, count = _rows(table, inhibitory)
    if inhibitory is not None:
        notes.append(f"{counted(count, 'row')} negative by {shown(inhibitory)}")
    return edges


# ------------------------------------------------------------------------------ neurons of any name
def _rows(table: Table, inhibitory: str | None) -> tuple[Edges, int]:
    """All rows, and how many have negative weights by `inhibitory`."""
    names: defaultdict[str, int] = defaultdict()
    names.default_factory = names.__len__
    ends, weights = array("q"), array("d")
    signs = None if inhibitory is None else _Signs(table, inhibitory)
    for rows in table.blocks:
        try:
            block_ends, block_weights = _taken(table, rows, names)
        except ValueError:
            _refuse(table, len(weights), rows)
            raise
        if signs is not None:
            signs.give(rows, block_weights)
        ends.frombytes(block_ends.tobytes())
        weights.frombytes(block_weights.tobytes())
    both = np.array(ends, dtype=np.int64).reshape(-1, 2)
    edges = Edges(table, dict(names), both, np.array(weights, dtype=np.float64))
    return edges, 0 if signs is None else signs.count()


def _taken(
    table: Table, rows: Rows, names: defaultdict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ends and weights of a block, all at once; ValueError: one of its rows is bad."""
    count, (source, target, weight) = len(rows), table.found
    if {*map(len, rows)} - {len(table.header)}:
        raise ValueError
    columns = [list(map(str.strip, map(itemgetter(k), rows))) for k in (source, target)]
    if any("" in column for column in columns):
        raise ValueError
    pairs = chain.from_iterable(zip(*columns, strict=True))
    ends = np.fromiter(map(names.__getitem__, pairs), np.int64, 2 * count)
    if weight is None:
        return ends, np.ones(count)
    weights = np.fromiter(map(float, map(itemgetter(weight), rows)), np.float64, count)
    if not np.isfinite(weights).all():
        raise ValueError
    return ends, weights


def _refuse(table: Table, first: int, rows: Rows) -> None:
    """Raise InputError for the first bad row of a block that begins with the row `first`."""
    source, target, weight = table.found
    for place, fields in zip(table.places(first), rows, strict=False):
        if len(fields) != len(table.header):
            allowed = shown(", ".join(table.header))
            raise InputError(f"{place}: {len(fields)} fields given; allowed: {allowed}")
        if not fields[source].strip() or not fields[target].strip():
            raise InputError(f"{place}: a neuron without a name; allowed: a name or a number")
        if weight is not None:
            number(place, "weight", fields[weight].strip())


class _Signs:
    """Which rows have negative weights: COLUMN=VALUE,... of the option `inhibitory`."""

    def __init__(self, table: Table, text: str) -> None:
        name, values = text.split("=", 1)
        path, header = table.path, table.header
        if header.count(name) != 1:
            raise no_columns(
                f"{path}, line 1", header, f"{name} among them once, as {flag('inhibitory')} says"
            )
        self._path, self._text = path, text
        self._column, self._values = header.index(name), set(values.split(","))
        self._seen: set[str] = set()
        self._rows = 0

    def give(self, rows: Rows, weights: NDArray[np.float64]) -> None:
        """Make the weights of these rows negative where they are to be."""
        cells = list(map(str.strip, map(itemgetter(self._column), rows)))
        inhibits = np.fromiter(map(self._values.__contains__, cells), bool, len(rows))
        weights[inhibits] = -np.abs(weights[inhibits])
        self._seen.update(cells)
        self._rows += int(inhibits.sum())

    def count(self) -> int:
        """How many there were. Raises InputError for a value that no row has."""
        for value in sorted(self._values - self._seen):
            found = shown(", ".join(sorted(self._seen)))
            raise InputError(
                f"{self._path}: {flag('inhibitory')} {shown(self._text)} given, but no row has "
                f"{shown(value)}; allowed: {found}"
            )
        return self._rows


# ------------------------------------------------------------------------ neurons that are integers
def _integers(table: Table, inhibitory: str | None) -> tuple[Edges, int]:
    """All rows of a table whose neurons are called by integers, as `_rows`. Raises ValueError or
    Warning where it is no such table, or a row is bad."""
    source, target, weight = table.found
    name, values = "", set[str]()
    if inhibitory is not None:
        name, text = inhibitory.split("=", 1)
        values = set(text.split(","))
        if table.header.count(name) != 1:
            raise ValueError
    kinds = ["U1"] * len(table.header)  # looked at for their number alone
    if inhibitory is not None:
        kinds[table.header.index(name)] = f"U{max(map(len, values)) + 1}"
    kinds[source] = kinds[target] = "i8"
    if weight is not None:
        kinds[weight] = "f8"
    check_plain(table.path)
    with open_text(table.path) as file, warnings.catch_warnings():
        warnings.simplefilter("error")  # an integer by way of a float, no rows
        file.readline()
        rows = np.loadtxt(
            file,
            dtype=[(str(k), kind) for k, kind in enumerate(kinds)],
            comments=None,
            delimiter=None if table.delimiter == " " else table.delimiter,
            ndmin=1,
        )
    weights = np.ones(rows.size) if weight is None else rows[str(weight)].copy()
    count = 0
    if inhibitory is not None:
        cells = rows[str(table.header.index(name))]
        if values - {*np.unique(cells).tolist()} or np.strings.startswith(cells, " ").any():
            raise ValueError
        inhibits = np.isin(cells, list(values))
        weights[inhibits] = -np.abs(weights[inhibits])
        count = int(inhibits.sum())
    if not np.isfinite(weights).all():
        raise ValueError
    found, ends = _numbered(rows[str(source)], rows[str(target)])
    del rows
    names = {str(number): k for k, number in enumerate(found.tolist())}
    return Edges(table, names, ends, weights, found if found.min(initial=0) >= 0 else None), count


def _numbered(
    source: NDArray[np.int64], target: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The different ids by first appearance, and each edge's ends in these numbers."""
    most = max(int(source.max(initial=0)), int(target.max(initial=0)))
    if most >= MOST_NEURONS or min(source.min(initial=0), target.min(initial=0)) < 0:
        ids = np.stack([source, target], axis=1)
        found, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size)
        return found[order], rank[inverse].reshape(-1, 2)
    # Few enough to count: where each appears first, from behind, as what is written last stays.
    first = np.full(most + 1, -1)
    for start in range(0, source.size, _EDGES)[::-1]:
        part = slice(start, start + _EDGES)
        ids = np.stack([source[part], target[part]], axis=1).reshape(-1)
        first[ids[::-1]] = np.arange(2 * start, 2 * start + ids.size)[::-1]
    found = np.flatnonzero(first >= 0)
    found = found[np.argsort(first[found])]
    place = np.empty(most + 1, np.int32)
    place[found] = np.arange(found.size)
    ends = np.empty((source.size, 2), np.int32)
    ends[:, 0], ends[:, 1] = place[source], place[target]
    return found, ends


def check_plain(path: str) -> None:
    """Raise ValueError for a text with `_OTHERS`."""
    with open_text(path) as file:
        file.readline()
        before = "\n"
        while text := file.read(_READ):
            if _OTHERS.search(before + text):
                raise ValueError
            before = text[-80:]
