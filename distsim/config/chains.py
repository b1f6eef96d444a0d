"""The options of many chains that share W."""

from __future__ import annotations

from dataclasses import dataclass

from distsim.config.kinds import Integer
from distsim.config.roles import Role, option

MOST_CHAINS = 1 << 16  # the replica of a chain is 16 bits of a random number's name


@dataclass(frozen=True)
class ChainOptions:
    """Which chains there are: each has a stream of its own."""

    replica: int = option(
        0, Integer(0, MOST_CHAINS), Role.STREAM, "Which of the chains that share a seed to run."
    )
