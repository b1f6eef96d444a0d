"""What a caller has given: a network, biases and initial states, by name or as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.opening import as_states
from distsim.config.network import GIVEN
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.front.conditions import check_clamp, taken
from distsim.front.options import settled
from distsim.front.result import Result
from distsim.networks.catalogue import finished, open_network
from distsim.networks.checks import as_numbers, from_dlpack
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Communicator
from distsim.runs.same_inputs import check_alike
from distsim.weights.source import Network


@dataclass(frozen=True)
class Given:
    """A run as asked for. named: whether its configuration names the network; weights, bias: in
    memory, where it does not; states: uint8[N], of several chains also uint8[R, N], where it names
    no initial ones; conditions: tables, where it says that they are given."""

    config: Config
    named: bool
    weights: Any = None
    bias: Any = None
    states: NDArray[Any] | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> Network:
        """The network. Raises InputError."""
        if self.named:
            network = open_network(self.config)
        else:
            network = finished(from_array(self.weights, self.bias), self.config)
        if self.states is not None:
            as_states("initial", self.states, network.neurons, self.config.chains)
        return network

    def check_alike(self, ranks: Communicator) -> None:
        """Raise InputError on every rank alike if one has been given something else."""
        arrays = {}
        if not self.named:
            arrays["the network"] = _parts(self.weights)
            arrays["bias"] = [] if self.bias is None else _parts(self.bias)
        if self.states is not None:
            arrays["initial"] = _parts(self.states)
        check_alike(self.config, ranks, arrays)


def given(network: Any, bias: Any, initial: Any, options: Mapping[str, Any], caller: str) -> Given:
    """What was given to `caller`, a function. Raises InputError."""
    named = isinstance(network, str | PathLike)
    network, bias = from_dlpack("network", network), from_dlpack("bias", bias)
    initial = from_dlpack("initial", initial)
    asked, sources = settled(options, caller, named=named)
    values, tables = taken(asked)
    if "tau" not in values:
        sources.pop("tau", None)
    states = None
    if isinstance(initial, Result):
        states = initial.final
    elif initial is not None and not isinstance(initial, str | PathLike):
        states = as_numbers("initial", "states", initial, "N numbers, one a neuron, each 0 or 1")
    elif initial == GIVEN:
        raise InputError(f"initial: {initial!r} given; allowed: zeros|ones|random|FILE.npy")
    if initial is not None:
        values["initial"] = initial if states is None else GIVEN
    known = {"network": network, "bias": bias} if named else {"network": GIVEN}
    config = Config(**known, **values, sources=sources)
    check_clamp(asked.get("clamp"), config.chains)
    if named:
        return Given(config, named, states=states, conditions=tables)
    return Given(config, named, network, bias, states, tables)


def _parts(numbers: Any) -> list[NDArray[Any]]:
    """Arrays that together are a matrix, sparse or not, or a vector."""
    if hasattr(numbers, "tocsr"):
        rows = numbers.tocsr()
        return [np.asarray(part) for part in (rows.data, rows.indices, rows.indptr)]
    return [np.asarray(numbers)]
