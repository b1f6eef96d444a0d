"""Edge lists: tables of connections, and MaxCut instances."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files.arrays import reading
from distsim.networks.checks import MOST_NEURONS, check_neurons
from distsim.networks.matrices import Sparse

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
        raise InputError(
            f"{path}, line {line[k]}: an edge to the unknown neuron {list(names)[ends[k, end]]}; "
            f"allowed: {allowed}"
        )
    if neurons is None:
        neurons = max(numbers, default=-1) + 1
    check_neurons(path, neurons)
    source, target = np.array(numbers, dtype=np.int64)[ends].T
    _check_distinct(path, target * neurons + source, line)
    named = None if numbered else (*names, *map(str, range(len(names), neurons)))
    return Sparse(path, _csr(weights, target, source, neurons), names=named)


def read_rudy(path: str) -> Sparse:
    """A MaxCut instance as a Boltzmann machine: see the head of this file."""
    ends, weights, lines = array("q"), array("d"), array("q")
    with _text(path) as file:
        parts = ((line, text.split()) for line, text in enumerate(file, 1) if text.strip())
        line, words = next(parts, (1, []))
        if len(words) != 2:
            raise InputError(f"{path}, line {line}: {len(words)} numbers given; allowed: n m")
        neurons, edges = (_integer(f"{path}, line {line}", word) for word in words)
        check_neurons(f"{path}, line {line}", neurons)
        for line, words in parts:
            place = f"{path}, line {line}"
            if len(lines) == edges:
                raise InputError(f"{place}: an edge more than the {edges} that the head announces")
            if len(words) != 3:
                raise InputError(f"{place}: {len(words)} numbers given; allowed: i j w")
            i, j = (_integer(place, word) for word in words[:2])
            for end in (i, j):
                if not 1 <= end <= neurons:
                    raise InputError(
                        f"{place}: an edge to the unknown neuron {end}; allowed: 1 to {neurons}"
                    )
            if i == j:
                raise InputError(f"{place}: an edge from {i} to itself; allowed: two neurons")
            ends.extend((min(i, j) - 1, max(i, j) - 1))
            weights.append(_number(place, "weight", words[2]))
            lines.append(line)
    if len(lines) != edges:
        raise InputError(f"{path}: {len(lines)} edges given; allowed: {edges}, as the head says")
    low, high = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    _check_distinct(path, low * neurons + high, np.array(lines, dtype=np.int64))
    rows, columns = np.concatenate([low, high]), np.concatenate([high, low])
    both = _csr(np.tile(np.array(weights), 2), rows, columns, neurons)
    return Sparse(path, -4.0 * both, bias=2.0 * both.sum(axis=1))


def _parse_edges(
    path: str,
) -> tuple[dict[str, int], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Names, numbered in order of first appearance, and of each edge its ends [edges, 2] (source,
    target) in these numbers, its weight [edges], and its line in the file [edges]."""
    names: dict[str, int] = {}
    ends, weights, lines = array("q"), array("d"), array("q")
    with _text(path) as file:
        reader = csv.reader(file, strict=True)
        columns = [name.strip() for name in next(reader, [])]
        if sorted(columns) != sorted(COLUMNS):
            raise InputError(
                f"{path}, line 1: columns {', '.join(columns) or 'none'} given; "
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
            weights.append(_number(place, "weight", weight))
            lines.append(reader.line_num)
    return (
        names,
        np.array(ends, dtype=np.int64).reshape(-1, 2),
        np.array(weights, dtype=np.float64),
        np.array(lines, dtype=np.int64),
    )


@contextmanager
def _text(path: str) -> Iterator[IO[str]]:
    """A text file; what cannot be read becomes InputError."""
    with reading(path):
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                yield file
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text") from None
        except csv.Error as error:
            raise InputError(f"{path}: not comma-separated values: {error}") from None


def _number(place: str, what: str, text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{place}: {what} {text!r} given; allowed: a finite number")
    return value


def _integer(place: str, text: str) -> int:
    """An integer of rudy's: a number of neurons, edges, or of a neuron."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InputError(f"{place}: {text!r} given; allowed: an integer")
    return int(text)


def _check_distinct(path: str, key: NDArray[np.int64], line: NDArray[np.int64]) -> None:
    """Refuse the second of two edges with the same key."""
    _, first, edge = np.unique(key, return_index=True, return_inverse=True)
    again = first[edge] != np.arange(key.size)
    if again.any():
        k = int(np.argmax(again))
        raise InputError(
            f"{path}, line {line[k]}: the edge of line {line[first[edge[k]]]} again; "
            "allowed: each edge once"
        )


def _csr(
    weights: NDArray[np.float64], i: NDArray[np.int64], j: NDArray[np.int64], neurons: int
) -> Any:
    """scipy.sparse.csr_array[N, N] of the entries W[i, j]."""
    from scipy.sparse import csr_array

    return csr_array((weights, (i, j)), shape=(neurons, neurons))
