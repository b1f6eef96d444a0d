"""Which law a configuration names: the one place that knows both."""

from typing import Any

from distsim.config.options import Config
from distsim.laws.boltzmann import Boltzmann
from distsim.laws.law import Law
from distsim.laws.mcculloch_pitts import McCullochPitts
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard


def open_law(config: Config, shard: Shard[Any], ranks: Communicator) -> Law:
    """The law of a chain, at its first window. Raises InputError for its temperature."""
    if config.model == "mpm":
        return McCullochPitts(shard, config.tau, config.seed, config.window, ranks)
    assert config.scan is not None
    return Boltzmann(shard, config.tau, config.seed, config.window, ranks, config.scan)
