"""A BM on a CPU whose temperature changes between sweeps.

Only the threshold of a visit knows the temperature, and each visit has its own: so a chain goes on
at another temperature from the step that it has reached, with the tickets of that step.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from distsim.chains.cpu import HostChain
from distsim.chains.rehearsal import rehearse
from distsim.config.options import Config
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.laws.opening import open_law
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder
from distsim.weights.source import Network


def anneal(
    network: Network, seed: int, states: NDArray[np.uint8], taus: Iterable[float], sweeps: int
) -> NDArray[np.uint8]:
    """The states, uint8[N], after so many sweeps at each of these temperatures, from `states`."""
    config = Config(network="array", model="bm", sweeps=1, seed=seed)
    ranks = Serial()
    chain = HostChain(network, config, ranks, states, Conditions.constant(config.tau))
    rehearse(config, chain.shard.kind, several_ranks=False)
    steps = 0
    for tau in taus:
        chain.law = open_law(config, chain.shard, ranks, Conditions.constant(tau))
        chain.law.clock = Clock(steps, float(steps), exponent=chain.law.clock.exponent)
        steps += sweeps * network.neurons
        recorder = Recorder(None, float(steps))
        while not recorder.finished(chain.now()):
            chain.advance(recorder)
    return chain.final()
