"""Opens the network that a configuration names: built in, or a file.

Files and what they may hold: `networks.formats`. All hold the contract of `weights.source`.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distsim.config.network import BUILT_IN
from distsim.config.options import flag
from distsim.errors import InputError
from distsim.limits import MOST_NEURONS
from distsim.networks.celegans import celegans
from distsim.networks.checks import as_bias, check_neurons
from distsim.networks.edges import read_edges
from distsim.networks.formats import read_bias, read_mtx, read_npy, read_npz, read_patterns
from distsim.networks.gaussian import Gaussian
from distsim.networks.hopfield import Hopfield, check_patterns
from distsim.networks.maxcut import is_rudy, read_rudy
from distsim.weights.source import Network

if TYPE_CHECKING:
    from distsim.config.options import Config


_TABLE = ("columns", "inhibitory", "repeats", "ids")
_PLACES = {  # where an option has a meaning
    "neurons": "for gaussian, for hopfield with random patterns, and for a table of edges",
    "coupling": "for gaussian",
    "network_seed": "for gaussian, and for hopfield with random patterns",
    "patterns": "for hopfield",
    **dict.fromkeys(_TABLE, "for a table of edges"),
}
_READERS = {".npy": read_npy, ".npz": read_npz, ".mtx": read_mtx}  # others are texts


def open_network(config: Config) -> Network:
    """The network that a configuration names, nothing read yet that a rank may not own.

    Raises InputError for what can be seen without reading all weights: no such file, damage that
    sizes show, not square, N = 0, a bad line in a text, a bias that does not fit, and options
    that have no meaning for this network.
    """
    network = _open(config)
    if config.bias is not None:
        bias = read_bias(config.bias)
        network.bias = as_bias(config.bias, bias, network.neurons)
        network.maxcut = False
    return network


def heeded(network: str, patterns: str | None) -> tuple[str, ...]:
    """The options of config.DETAILS that a network has a use for."""
    if network == "gaussian":
        return ("neurons", "coupling", "network_seed")
    if network == "hopfield":
        drawn = patterns is not None and patterns.isdecimal()
        return ("patterns", "neurons", "network_seed") if drawn else ("patterns",)
    return () if network in BUILT_IN or network.endswith((*_READERS,)) else ("neurons", *_TABLE)


def _open(config: Config) -> Network:
    path, symmetric = config.network, config.model == "bm"
    if path == "hopfield" and config.patterns is None:
        raise InputError("network hopfield: no patterns given; allowed: --patterns FILE.npy or P")
    _refuse_others(config, heeded(path, config.patterns))
    if path not in BUILT_IN and not os.path.exists(path):
        names = ", ".join(BUILT_IN)
        raise InputError(f"network {path}: No such file or directory; allowed: {names}, or a file")
    match path:
        case "celegans":
            return celegans(symmetric)
        case "gaussian":
            coupling = 1.0 if config.coupling is None else config.coupling
            return Gaussian(_neurons(config), coupling, config.network_seed or 0, symmetric)
        case "hopfield":
            return Hopfield(_patterns(config))
    for ending, read in _READERS.items():
        if path.endswith(ending):
            return read(path)
    if is_rudy(path):
        _refuse_others(config, ())
        return read_rudy(path)
    return read_edges(path, config)


def _patterns(config: Config) -> NDArray[np.uint8]:
    """The patterns of a Hopfield network, uint8[P, N], from a file or drawn."""
    assert config.patterns is not None
    if not config.patterns.isdecimal():
        return read_patterns(config.patterns)
    neurons, count = _neurons(config), int(config.patterns)
    if not 1 <= count <= MOST_NEURONS:
        raise InputError(f"--patterns: {count} given; allowed: a file, or 1 to {MOST_NEURONS}")
    check_patterns(flag("patterns"), count, neurons)

    from distsim.kernels.states import random_patterns

    patterns: NDArray[np.uint8] = random_patterns(
        np.uint64(config.network_seed or 0), count, neurons
    )
    return patterns


def _neurons(config: Config) -> int:
    """N of a generated network."""
    if config.neurons is None:
        raise InputError(f"network {config.network}: no size given; allowed: {flag('neurons')} N")
    check_neurons(flag("neurons"), config.neurons)
    return config.neurons


def _refuse_others(config: Config, used: Collection[str]) -> None:
    """Refuse an option that this network would not heed."""
    for name, place in _PLACES.items():
        value = getattr(config, name)
        if value is not None and name not in used:
            raise InputError(
                f"{flag(name)}: {value} given for network {config.network}; allowed only {place}"
            )
