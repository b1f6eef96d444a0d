"""The options that say what W and b are: of built-in networks, of tables, of any network."""

from __future__ import annotations

from dataclasses import dataclass

from distsim.config.kinds import Cells, Choice, Columns, Flag, Integer, Number, Text
from distsim.config.roles import Role, option

GIVEN = "array"  # what a Python program has given: network, initial states, conditions
DEFAULT_NETWORK = "celegans"
BUILT_IN = (DEFAULT_NETWORK, "gaussian", "hopfield")  # networks that are no file
SEED = Integer(0, 2**64)


@dataclass(frozen=True)
class NetworkOptions:
    """Which network, and how it is made or read. All that is left out has no say."""

    network: str = option(
        DEFAULT_NETWORK,
        Text("celegans|gaussian|hopfield|FILE"),
        Role.NETWORK,
        "Built in, or a file of weights or edges: .npy, .npz, .mtx, .graphml, .h5, or a table.",
    )
    bias: str | None = option(None, Text("FILE"), Role.NETWORK, "Bias of each neuron.")
    symmetrize: bool = option(False, Flag(), Role.NETWORK, "Take (W + W') / 2 for W.")
    diagonal_to_bias: bool = option(
        False, Flag(), Role.NETWORK, "Add half of W's diagonal to the bias and take it from W."
    )
    populations: str | None = option(
        None, Text("FILE"), Role.NETWORK, "Table of neurons and the populations that they are of."
    )
    neurons: int | None = option(
        None, Integer(1), Role.NETWORK, "Neurons of a generated network, or of a table of edges."
    )
    coupling: float | None = option(
        None,
        Number(),
        Role.NETWORK,
        "Strength g of gaussian: weights normal(0, g / sqrt(neurons)).",
    )
    network_seed: int | None = option(None, SEED, Role.NETWORK, "Seed of a generated network.")
    patterns: str | None = option(
        None,
        Text("FILE|INTEGER", number=True),
        Role.NETWORK,
        "Patterns of hopfield, or how many random ones.",
    )
    columns: str | None = option(
        None,
        Columns(),
        Role.NETWORK,
        "Columns of a table of edges [default: by their names].",
    )
    inhibitory: str | None = option(
        None, Cells(), Role.NETWORK, "Rows of a table of edges whose weights are negative."
    )
    repeats: str | None = option(
        None,
        Choice(("refuse", "sum")),
        Role.NETWORK,
        "Several rows of a pair in a table of edges [default: sum if it has columns besides source,"
        " target, weight, or no weight].",
    )
    ids: str | None = option(
        None,
        Choice(("names", "indices")),
        Role.NETWORK,
        "What a table of edges calls neurons [default: indices if they are].",
    )
