"""BMs on a CPU whose temperature goes through a schedule, one chain after another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distsim.chains.cpu import HostChain
from distsim.chains.opening import open_on_host
from distsim.config.options import Config
from distsim.laws.conditions import Conditions
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder
from distsim.weights.source import Network


def anneal(
    network: Network, seed: int, states: NDArray[np.uint8], taus: Sequence[float], sweeps: int
) -> NDArray[np.uint8]:
    """The states, uint8[R, N], after so many sweeps at each of these temperatures, of replicas 0 to
    R - 1, which begin at `states`, uint8[R, N]."""
    if not taus:
        return states
    each = sweeps * network.neurons
    times = each * np.arange(len(taus), dtype=np.float64)
    schedule = replace(Conditions.constant(1.0), times=times, taus=np.array(taus))
    config = Config(network="array", model="bm", sweeps=sweeps * len(taus), seed=seed)
    found = np.empty_like(states)
    chain: HostChain | None = None
    for read, start in enumerate(states):
        own = replace(config, replica=read)
        chain = open_on_host(network, own, Serial(), start, schedule, chain)
        recorder = Recorder(None, float(each * len(taus)))
        while not recorder.finished(chain.now()):
            chain.advance(recorder)
        found[read] = chain.final()
    return found
