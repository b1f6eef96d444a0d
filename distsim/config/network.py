"""The options that say what W and b are: of built-in networks, of tables, of any network."""

from __future__ import annotations

from dataclasses import dataclass

from distsim.config.kinds import Cells, Choice, Columns, Flag, Integer, Number, Text
from distsim.config.roles import Role, option

GIVEN = "array"  # what a Python program has given: network, initial states, conditions
DEFAULT_NETWORK = "celegans"
DRAWN = ("random", "ring", "grid")  # each neuron has so many synapses
LOBE = "optic-lobe"
GENERATED = ("gaussian", "hopfield", *DRAWN)  # of any size
BUILT_IN = (DEFAULT_NETWORK, *GENERATED, LOBE)  # networks that are no file
SEED = Integer(0, 2**64)


@dataclass(frozen=True)
class NetworkOptions:
    """Which network, and how it is made or read. All that is left out has no say."""

    network: str = option(
        DEFAULT_NETWORK,
        Text(f"{'|'.join(BUILT_IN)}|FILE"),
        Role.NETWORK,
        "Built in, or a file of weights, edges or a lattice: .npy, .npz, .mtx, .graphml, .h5, "
        ".json, or a table.",
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
        "Strength g: weights normal(0, g / sqrt(synapses)), of gaussian g / sqrt(neurons).",
    )
    synapses: int | None = option(
        None, Integer(1), Role.NETWORK, "Synapses of each neuron of random, ring and grid."
    )
    degree: str | None = option(
        None,
        Choice(("stratified", "probability")),
        Role.NETWORK,
        "Targets of random: so many for each neuron, or each with one probability [default: "
        "stratified].",
    )
    weights: str | None = option(
        None,
        Choice(("normal", "types")),
        Role.NETWORK,
        "Weights of random, ring and grid: normal, or by the type of their source [default: "
        "normal].",
    )
    ratio: float | None = option(
        None,
        Number(),
        Role.NETWORK,
        "Of weights by type: an inhibitory one to an excitatory one [default: 4].",
    )
    width: float | None = option(
        None,
        Number(positive=True),
        Role.NETWORK,
        "Of ring and grid: standard deviation of the distance of a target, in neurons.",
    )
    extent: int | None = option(
        None, Integer(0, 1000), Role.NETWORK, "Rings of columns of a lattice [default: 15]."
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
        None,
        Cells(),
        Role.NETWORK,
        "Rows of a table of edges whose weights are negative; of weights by type the share of "
        "neurons [default: 0.2].",
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
