"""Which law a configuration names: the one place that knows both."""

from typing import Any

from distsim.config.options import Config
from distsim.laws.boltzmann import Boltzmann
from distsim.laws.conditions import Conditions
from distsim.laws.law import Law
from distsim.laws.mcculloch_pitts import McCullochPitts
from distsim.laws.names import names
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard


def open_law(config: Config, shard: Shard[Any], ranks: Communicator, conditions: Conditions) -> Law:
    """The law of a chain, at its first window. Raises InputError for its temperatures."""
    needs = (shard, conditions, names(config.seed, config.replica), config.window, ranks)
    if config.model == "mpm":
        return McCullochPitts(*needs)
    assert config.scan is not None
    return Boltzmann(*needs, config.scan)
