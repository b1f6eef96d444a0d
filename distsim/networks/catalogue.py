"""Opens the network that a configuration names: built in, or a file.

Files and what they may hold: `networks.formats`. All hold the contract of `weights.source`.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distsim.config.network import BUILT_IN, DRAWN, GENERATED, LOBE
from distsim.config.options import flag
from distsim.errors import InputError
from distsim.limits import MOST_NEURONS
from distsim.networks.celegans import celegans
from distsim.networks.checks import as_bias, check_neurons
from distsim.networks.drawn import drawn
from distsim.networks.edges import read_edges
from distsim.networks.formats import read_bias, read_mtx, read_npy, read_npz, read_patterns
from distsim.networks.gaussian import Gaussian
from distsim.networks.graphml import read_graphml
from distsim.networks.hopfield import Hopfield, check_patterns
from distsim.networks.lattice import optic_lobe, read_lattice
from distsim.networks.matrices import Dense, Sparse
from distsim.networks.maxcut import is_rudy, read_rudy
from distsim.networks.mended import Mended
from distsim.networks.populations import read_populations
from distsim.networks.sonata import read_sonata
from distsim.networks.sparse_file import SparseFile
from distsim.weights.source import Network

if TYPE_CHECKING:
    from distsim.config.options import Config


_MATRIX = ("symmetrize", "diagonal_to_bias")  # of any other network
_TABLE = ("columns", "inhibitory", "repeats", "ids")
_DRAWN = ("neurons", "synapses", "coupling", "weights", "inhibitory", "ratio", "network_seed")
_LATTICE = ".json"
_PLACES = {  # where an option has a meaning
    "neurons": "for gaussian, random, ring, grid, for hopfield with random patterns, and for "
    "tables and SONATA files",
    "coupling": "for gaussian, random, ring and grid",
    "network_seed": "for gaussian, random, ring, grid, and for hopfield with random patterns",
    "patterns": "for hopfield",
    **dict.fromkeys(("synapses", "weights", "ratio"), "for random, ring and grid"),
    "degree": "for random",
    "width": "for ring and grid",
    "extent": f"for {LOBE} and a lattice in a file, {_LATTICE}",
    **dict.fromkeys(_TABLE, "for a table of edges"),
    "inhibitory": "for a table of edges, random, ring and grid",
    **dict.fromkeys(_MATRIX, "for celegans, optic-lobe, a file or an array"),
}
_READERS = {
    ".npy": read_npy, ".npz": read_npz, ".mtx": read_mtx, ".graphml": read_graphml,
}  # fmt: skip
_SONATA = (".h5", ".hdf5", ".sonata")  # what ends otherwise is a text


def open_network(config: Config) -> Network:
    """The network that a configuration names, nothing read yet that a rank may not own.

    Raises InputError for what can be seen without reading all weights: no such file, damage that
    sizes show, not square, N = 0, a bad line in a text, a bias that does not fit, and options
    that have no meaning for this network.
    """
    if config.network == "hopfield" and config.patterns is None:
        raise InputError("network hopfield: no patterns given; allowed: --patterns FILE.npy or P")
    _refuse_others(config, heeded(config.network, config.patterns))
    if config.network in GENERATED:
        network = _generated(config)
        if config.bias is not None:
            network.bias = as_bias(config.bias, read_bias(config.bias), network.neurons)
        return _with_populations(network, config)
    matrix = _matrix(config)
    if config.bias is not None:
        matrix.bias = as_bias(config.bias, read_bias(config.bias), matrix.neurons)
        matrix.maxcut = False
    return finished(matrix, config)


def finished(matrix: Dense | Sparse | SparseFile, config: Config) -> Network:
    """A matrix as the options of any network want it. Raises InputError."""
    network: Network = matrix
    if config.symmetrize or config.diagonal_to_bias:
        network = Mended(
            matrix, symmetrize=config.symmetrize, diagonal_to_bias=config.diagonal_to_bias
        )
    return _with_populations(network, config)


def _with_populations(network: Network, config: Config) -> Network:
    if config.populations is not None:
        network.population = read_populations(config.populations, network)
    return network


def heeded(network: str, patterns: str | None) -> tuple[str, ...]:
    """The options of config.DETAILS that a network has a use for, and of those for any matrix."""
    if network == "gaussian":
        return ("neurons", "coupling", "network_seed")
    if network == "hopfield":
        made = patterns is not None and patterns.isdecimal()
        return ("patterns", "neurons", "network_seed") if made else ("patterns",)
    if network in DRAWN:
        return (*_DRAWN, "degree" if network == "random" else "width")
    if network == LOBE or network.endswith(_LATTICE):
        return (*_MATRIX, "extent")
    if network in BUILT_IN or network.endswith((*_READERS,)):
        return _MATRIX
    return (*_MATRIX, "neurons", *(() if network.endswith(_SONATA) else _TABLE))


def _generated(config: Config) -> Network:
    if config.network == "hopfield":
        return Hopfield(_patterns(config))
    if config.network in DRAWN:
        return drawn(config, _neurons(config))
    coupling = 1.0 if config.coupling is None else config.coupling
    symmetric = config.model == "bm"
    return Gaussian(_neurons(config), coupling, config.network_seed or 0, symmetric)


def _matrix(config: Config) -> Dense | Sparse | SparseFile:
    path = config.network
    if path == "celegans":
        return celegans(symmetric=config.model == "bm")
    if path == LOBE:
        return optic_lobe(config.extent, symmetric=config.model == "bm")
    if not os.path.exists(path):
        names = ", ".join(BUILT_IN)
        raise InputError(f"{path}: No such file or directory; allowed: {names}, or a file")
    if os.path.isdir(path):
        raise InputError(f"{path}: Is a directory")
    for ending, read in _READERS.items():
        if path.endswith(ending):
            return read(path)
    if path.endswith(_LATTICE):
        return read_lattice(path, config.extent)
    if path.endswith(_SONATA):
        return read_sonata(path, config.neurons)
    if is_rudy(path):
        _refuse_others(config, _MATRIX)
        return read_rudy(path)
    if config.inhibitory is not None and "=" not in config.inhibitory:
        raise InputError(
            f"{flag('inhibitory')}: {config.inhibitory} given for a table of edges; allowed: "
            "COLUMN=VALUE,..."
        )
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
        if value is not None and value is not False and name not in used:
            raise InputError(
                f"{flag(name)}: {value} given for network {config.network}; allowed only {place}"
            )
