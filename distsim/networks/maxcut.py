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

import numpy as np

from distsim.errors import InputError
from distsim.networks.checks import check_neurons
from distsim.networks.edges import check_distinct, csr
from distsim.networks.matrices import Sparse
from distsim.networks.text import integer, number, open_text


def read_rudy(path: str) -> Sparse:
    """The network of a graph: `n m`, then m rows `i j w`, from 1."""
    ends, weights, lines = array("q"), array("d"), array("q")
    with open_text(path) as file:
        parts = ((line, text.split()) for line, text in enumerate(file, 1) if text.strip())
        line, words = next(parts, (1, []))
        if len(words) != 2:
            raise InputError(f"{path}, line {line}: {len(words)} numbers given; allowed: n m")
        neurons, edges = (integer(f"{path}, line {line}", word) for word in words)
        check_neurons(f"{path}, line {line}", neurons)
        for line, words in parts:
            place = f"{path}, line {line}"
            if len(lines) == edges:
                raise InputError(f"{place}: an edge more than the {edges} that the head announces")
            if len(words) != 3:
                raise InputError(f"{place}: {len(words)} numbers given; allowed: i j w")
            i, j = (integer(place, word) for word in words[:2])
            for end in (i, j):
                if not 1 <= end <= neurons:
                    raise InputError(
                        f"{place}: an edge to the unknown neuron {end}; allowed: 1 to {neurons}"
                    )
            if i == j:
                raise InputError(f"{place}: an edge from {i} to itself; allowed: two neurons")
            ends.extend((min(i, j) - 1, max(i, j) - 1))
            weights.append(number(place, "weight", words[2]))
            lines.append(line)
    if len(lines) != edges:
        raise InputError(f"{path}: {len(lines)} edges given; allowed: {edges}, as the head says")
    low, high = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    check_distinct(path, low * neurons + high, np.array(lines, dtype=np.int64))
    rows, columns = np.concatenate([low, high]), np.concatenate([high, low])
    both = csr(np.tile(np.array(weights), 2), rows, columns, neurons)
    return Sparse(path, -4.0 * both, bias=2.0 * both.sum(axis=1), maxcut=True)
