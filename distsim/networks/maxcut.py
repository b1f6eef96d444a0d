"""MaxCut as a Boltzmann machine.

With spins y = 2 x - 1 and w the edges' weights, a cut is worth

    cut = sum_{i<j} w_ij (1 - y_i y_j) / 2.

The weights and the bias read from a rudy file,

    W_ij = -4 w_ij,   b_i = 2 sum_j w_ij,

make the energy E(x) = -x'Wx/2 - b'x equal to sum_{i<j} w_ij y_i y_j - sum_{i<j} w_ij, so that

    cut(x) = -E(x) / 2,

and the lower the temperature, the closer the machine stays to the largest cut. The format is that
of Rinaldi's generator rudy, and of the G-set (Helmberg, Rendl, SIAM J. Optim. 10, 2000).
"""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TypeAlias
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.limits import MOST_NEURONS
from distsim.networks.checks import check_neurons
from distsim.networks.edges import csr, repeated
from distsim.networks.matrices import Sparse
from distsim.networks.rows import check_plain
from distsim.networks.text import integer, number, open_text


def is_rudy(path: str) -> bool:
    """Whether a text begins with two integers, `n m`, as no table does that names its columns."""
    with open_text(path) as file:
        words = next((line for line in file if line.strip()), "").split()
    return len(words) == 2 and all(word.isascii() and word.isdigit() for word in words)


def read_rudy(path: str) -> Sparse:
    """The network of a graph: `n m`, then m rows `i j w`, from 1; or m rows `i j`: each w is 1."""
    try:
        low, high, weights, neurons, width = _numbers(path)
    except (ValueError, Warning):  # what is wrong, if anything is, the lines will say
        low, high, weights, neurons, width = _lines(path)
    rows, columns = np.concatenate([low, high]), np.concatenate([high, low])
    both = csr(np.tile(weights, 2), rows, columns, neurons)
    notes = ["rudy without weights, each 1"] if width == 2 else []
    return Sparse(path, -4.0 * both, bias=2.0 * both.sum(axis=1), maxcut=True, notes=notes)


_Graph: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int, int]


def _numbers(path: str) -> _Graph:
    """Of each edge the lesser end and the greater, from 0, and its weight; how many neurons there
    are, and numbers a row. Raises ValueError or Warning where anything is wrong."""
    check_plain(path)
    with open_text(path) as file, catch_warnings():
        simplefilter("error")
        lines = (line for line in file if line.strip())
        neurons, edges = map(int, next(lines).split())
        first = next(lines, "")
        width = len(first.split())
        kinds = [("i", "i8"), ("j", "i8"), ("w", "f8")][:width]
        rows = np.loadtxt(chain([first], file), dtype=kinds, comments=None, ndmin=1)
    weights = rows["w"].copy() if width == 3 else np.ones(rows.size)
    low, high = np.minimum(rows["i"], rows["j"]) - 1, np.maximum(rows["i"], rows["j"]) - 1
    right = rows.size == edges and width in (2, 3) and neurons <= MOST_NEURONS
    right = right and low.min() >= 0 and high.max() < neurons and (low < high).all()
    if not right or not np.isfinite(weights).all() or repeated(low * neurons + high):
        raise ValueError
    return low, high, weights, neurons, width


def _lines(path: str) -> _Graph:
    """As `_numbers`, line by line. Raises InputError with the line."""
    ends, weights, lines = array("q"), array("d"), array("q")
    width = 0  # numbers a row
    with open_text(path) as file:
        parts = ((line, text.split()) for line, text in enumerate(file, 1) if text.strip())
        line, words = next(parts)
        neurons, edges = (integer(f"{path}, line {line}", word) for word in words)
        check_neurons(f"{path}, line {line}", neurons)
        for line, words in parts:
            place = f"{path}, line {line}"
            if len(lines) == edges:
                raise InputError(f"{place}: an edge more than the {edges} that the head announces")
            if len(words) != width and (width or len(words) not in (2, 3)):
                allowed = {0: "i j w, or i j", 2: "i j", 3: "i j w"}[width]
                raise InputError(f"{place}: {len(words)} numbers given; allowed: {allowed}")
            width = len(words)
            i, j = (integer(place, word) for word in words[:2])
            for end in (i, j):
                if not 1 <= end <= neurons:
                    raise InputError(
                        f"{place}: an edge to the unknown neuron {end}; allowed: 1 to {neurons}"
                    )
            if i == j:
                raise InputError(f"{place}: an edge from {i} to itself; allowed: two neurons")
            ends.extend((min(i, j) - 1, max(i, j) - 1))
            weights.append(number(place, "weight", words[2]) if width == 3 else 1.0)
            lines.append(line)
    if len(lines) != edges:
        raise InputError(f"{path}: {len(lines)} edges given; allowed: {edges}, as the head says")
    low, high = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    for k, first in repeated(low * neurons + high):
        raise InputError(
            f"{path}, line {lines[k]}: the edge of line {lines[first]} again; "
            "allowed: each edge once"
        )
    return low, high, np.array(weights), neurons, width
