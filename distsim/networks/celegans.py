"""The nervous system of the nematode C. elegans."""

from __future__ import annotations

import csv
from importlib import resources

import numpy as np

from distsim.networks.matrices import Dense

GABA = frozenset(
    [f"DD{k}" for k in range(1, 7)]
    + [f"VD{k}" for k in range(1, 14)]
    + ["RMED", "RMEV", "RMEL", "RMER", "AVL", "DVB", "RIS"]
)


def celegans(symmetric: bool) -> Dense:
    """The 281 neurons of the somatic nervous system of C. elegans, in alphabetical order.

    W[target, source] = synapses + gap junctions, where the chemical synapses of the 26 GABA neurons
    count as negative: they inhibit; all others, and gap junctions, excite. `symmetric`: (W + W')/2
    without its diagonal.
    Varshney, Chen, Paniagua, Hall, Chklovskii, PLoS Comput. Biol. 7 (2011) e1001066.
    """
    with (
        resources.files("distsim.networks")
        .joinpath("data/celegans.csv")
        .open(encoding="utf-8") as file
    ):
        connections = list(csv.DictReader(file))
    names = tuple(sorted({c[end] for c in connections for end in ("source", "target")}))
    index = {name: i for i, name in enumerate(names)}
    weights = np.zeros((len(names), len(names)))
    for c in connections:
        inhibits = c["kind"] == "chemical" and c["source"] in GABA
        sign = -1 if inhibits else 1
        weights[index[c["target"]], index[c["source"]]] += sign * int(c["synapses"])
    if symmetric:
        weights = (weights + weights.T) / 2
        np.fill_diagonal(weights, 0.0)
    return Dense("celegans", weights, names=names)
