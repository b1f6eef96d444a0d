"""Where weights come from: one contract for files, arrays and generators.

    W[i, j]: the weight onto neuron i from neuron j;  b[i]: the bias of neuron i

`open_network` makes a network from a configuration, `from_array` from NumPy or SciPy. Files and
what they may hold: `distsim.formats`; built-in networks: `distsim.generators`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from distsim import formats
from distsim.config import BUILT_IN, flag
from distsim.errors import InputError
from distsim.generators import Gaussian, Hopfield, celegans
from distsim.weights import MOST_NEURONS, Dense, Sparse, as_bias, check_neurons

if TYPE_CHECKING:
    from distsim.config import Config

__all__ = [
    "Dense",
    "Gaussian",
    "Hopfield",
    "Network",
    "Sparse",
    "check_model",
    "from_array",
    "heeded",
    "open_network",
]

Offence: TypeAlias = tuple[int, int, float, float]  # i, j, W[i, j], W[j, i]

_PLACES = {  # where an option has a meaning
    "neurons": "for gaussian, for hopfield with random patterns, and for a .csv file",
    "coupling": "for gaussian",
    "network_seed": "for gaussian, and for hopfield with random patterns",
    "patterns": "for hopfield",
}


class Network(Protocol):
    """What the engines need of a network. Every method is about rows [start, stop) of W.

    | name | |
    |---|---|
    | `name` | what messages call it |
    | `names` | the neurons' names, or None |
    | `neurons` | N |
    | `bias` | float64[N] |
    | `rows` | float64[stop - start, N], the caller's own: only these are read; ask for few |
    | `peak` | at least the largest magnitude; NaN or infinity: InputError naming the first |
    | `asymmetry` | the first i, then j, with W[i, j] != W[j, i], or i = j and W[i, i] != 0 |

    A file is read in tiles: a network never holds more than a few percent of its rows.
    """

    name: str
    names: tuple[str, ...] | None
    neurons: int
    bias: NDArray[np.float64]

    def rows(self, start: int, stop: int) -> NDArray[np.float64]: ...

    def peak(self, start: int, stop: int) -> float: ...

    def asymmetry(self, start: int, stop: int) -> Offence | None: ...


def open_network(config: Config) -> Network:
    """The network that a configuration names, nothing read yet that a rank may not own.

    Raises InputError for what can be seen without reading all weights: no such file, damage that
    sizes show, not square, N = 0, a bad line in a text, a bias that does not fit, and options
    that have no meaning for this network.
    """
    network = _open(config)
    if config.bias is not None:
        bias = formats.read_bias(config.bias)
        network.bias = as_bias(config.bias, bias, network.neurons)
    return network


def from_array(weights: Any, bias: Any = None) -> Network:
    """W[N, N] from an array or a scipy.sparse matrix, referred to, not copied; bias[N]."""
    if bias is not None:
        bias = np.asarray(bias)
    if hasattr(weights, "tocsr"):
        return Sparse("array", weights, bias)
    try:
        return Dense("array", np.asarray(weights), bias)
    except InputError:
        raise
    except ValueError as error:  # rows of different length
        raise InputError(f"array: not readable as weights: {error}; allowed: N x N") from None


def check_model(network: Network, model: str, start: int, stop: int) -> None:
    """Refuse a Boltzmann machine whose rows [start, stop) are not symmetric without diagonal."""
    if model != "bm":
        return
    offence = network.asymmetry(start, stop)
    if offence is None:
        return
    i, j, weight, mirrored = offence
    named = "" if network.names is None else f" ({network.names[i]}, {network.names[j]})"
    pair = f"W[{i}, {j}] = {weight}"
    if i != j:
        pair += f", W[{j}, {i}] = {mirrored}"
    raise InputError(
        f"{network.name}: {pair}{named} given; allowed for the bm: symmetric weights, "
        "zero on the diagonal"
    )


def heeded(network: str, patterns: str | None) -> tuple[str, ...]:
    """The options of config.DETAILS that a network has a use for."""
    if network == "gaussian":
        return ("neurons", "coupling", "network_seed")
    if network == "hopfield":
        drawn = patterns is not None and patterns.isdecimal()
        return ("patterns", "neurons", "network_seed") if drawn else ("patterns",)
    return ("neurons",) if network.endswith(".csv") else ()


def _open(config: Config) -> Network:
    path, symmetric = config.network, config.model == "bm"
    if path not in BUILT_IN and not path.endswith((".npy", ".npz", ".csv", ".txt")):
        raise InputError(
            f"network {path} given; allowed: celegans, gaussian, hopfield, or a file whose name "
            "ends with .npy, .npz, .csv or .txt"
        )
    if path == "hopfield" and config.patterns is None:
        raise InputError("network hopfield: no patterns given; allowed: --patterns FILE.npy or P")
    _refuse_others(config)
    match path:
        case "celegans":
            return celegans(symmetric)
        case "gaussian":
            coupling = 1.0 if config.coupling is None else config.coupling
            return Gaussian(_neurons(config), coupling, config.network_seed or 0, symmetric)
        case "hopfield":
            return Hopfield(_patterns(config))
    if path.endswith(".csv"):
        return formats.read_edges(path, config.neurons)
    if path.endswith(".npy"):
        return formats.read_npy(path)
    return formats.read_npz(path) if path.endswith(".npz") else formats.read_rudy(path)


def _patterns(config: Config) -> NDArray[np.uint8]:
    """The patterns of a Hopfield network, uint8[P, N], from a file or drawn."""
    assert config.patterns is not None
    if not config.patterns.isdecimal():
        return formats.read_patterns(config.patterns)
    neurons, count = _neurons(config), int(config.patterns)
    if not 1 <= count <= MOST_NEURONS:
        raise InputError(f"--patterns: {count} given; allowed: a file, or 1 to {MOST_NEURONS}")
    from distsim.kernels import cpu

    patterns: NDArray[np.uint8] = cpu.random_patterns(
        np.uint64(config.network_seed or 0), count, neurons
    )
    return patterns


def _neurons(config: Config) -> int:
    """N of a generated network."""
    if config.neurons is None:
        raise InputError(f"network {config.network}: no size given; allowed: {flag('neurons')} N")
    check_neurons(flag("neurons"), config.neurons)
    return config.neurons


def _refuse_others(config: Config) -> None:
    """Refuse an option that this network would not heed."""
    used = heeded(config.network, config.patterns)
    for name, place in _PLACES.items():
        value = getattr(config, name)
        if value is not None and name not in used:
            raise InputError(
                f"{flag(name)}: {value} given for network {config.network}; allowed only {place}"
            )
