"""By how much events change the energy, as chains tell it: python doubled.py CASES.json MADE.npz

CASES.json holds a list of options of chains on GPUs, of `network`. The root writes MADE.npz, for
each an array of its name, case0, case1, ...
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.cpu import HostChain
from distsim.chains.opening import take_gpu
from distsim.config.options import Config
from distsim.engines.engine import NONE
from distsim.laws.conditions import Conditions
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Communicator, Serial, connect
from distsim.recording.recorder import Recorder
from distsim.runs.preparation import length
from distsim.runs.simulation import advance_to_end
from distsim.weights.source import Network

Numbers = NDArray[np.int64]


def network(neurons: int, model: str, far: float = 0.0) -> Network:
    """Symmetric, with self-edges but for the bm; far: a bias out of reach, which makes z int64."""
    rng = np.random.default_rng(neurons)
    weights = rng.normal(0, 1 / np.sqrt(neurons), (neurons, neurons))
    weights += weights.T
    if model == "bm":
        np.fill_diagonal(weights, 0.0)
    bias = rng.normal(size=neurons)
    bias[0] -= far
    return from_array(weights, bias)


def opened(case: dict[str, Any]) -> tuple[Network, Config, NDArray[np.uint8]]:
    options = dict(case)
    neurons, far = options.pop("neurons"), options.pop("far", 0.0)
    config = Config(network="array", observe="energy", **options)
    states = (np.random.default_rng(1).random(neurons) < 0.5).astype(np.uint8)
    return network(neurons, config.model, far), config, states


class Kept(Recorder):
    """Keeps what a chain tells."""

    def __init__(self, config: Config, source: Network) -> None:
        super().__init__(*length(config, source), None)
        self.doubled = [np.empty(0, np.int64)]

    def record(self, times: Any, events: Any, doubled: Numbers = NONE) -> None:
        super().record(times, events, doubled)
        self.doubled.append(doubled.copy())

    def take_over(self, columns: Any, transitions: int, last: float, total: int) -> None:
        super().take_over(columns, transitions, last, total)
        if columns is not None:
            self.doubled.append(columns[3])


def by_cpu(case: dict[str, Any]) -> Numbers:
    """int64[K], of all events of the run."""
    source, config, states = opened(case)
    chain: Any = HostChain(source, config, Serial(), states, Conditions.constant(config.tau))
    recorder = Kept(config, source)
    advance_to_end(chain, recorder, lambda: True)
    return np.concatenate(recorder.doubled)


def by_gpu(case: dict[str, Any], ranks: Communicator) -> Numbers:
    from distsim.chains.gpu import DeviceChain

    source, config, states = opened(case)
    chain = DeviceChain(source, config, ranks, states, Conditions.constant(config.tau))
    recorder = Kept(config, source)
    advance_to_end(chain, recorder, lambda: True)
    chain.close()
    return np.concatenate(recorder.doubled)


def main(asked: str, made: str) -> None:
    ranks = connect()
    ranks.agree(take_gpu(ranks))
    cases = json.loads(Path(asked).read_text(encoding="utf-8"))
    found = {f"case{k}": by_gpu(case, ranks) for k, case in enumerate(cases)}
    if ranks.rank == 0:
        np.savez(made, **found)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
