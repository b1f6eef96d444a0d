"""The options of many chains that share W."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distsim.config.kinds import Integer
from distsim.config.roles import Role, option
from distsim.errors import InputError

MOST_CHAINS = 1 << 16  # the replica of a chain is 16 bits of a random number's name


@dataclass(frozen=True)
class ChainOptions:
    """Which chains there are: each has a stream of its own."""

    chains: int = option(
        1,
        Integer(1, MOST_CHAINS + 1),
        Role.STREAM,
        "How many chains share the network: replicas 0 to CHAINS - 1.",
    )
    replica: int = option(
        0, Integer(0, MOST_CHAINS), Role.STREAM, "Which of the chains that share a seed to run."
    )
    ranks_per_chain: int | None = option(
        None,
        Integer(1),
        Role.CONDUCT,
        "Ranks that share a chain [default: all for one chain, 1 for several].",
    )

    @property
    def together(self) -> int | None:
        """Ranks that share a chain; None: all."""
        return 1 if self.ranks_per_chain is None and self.chains > 1 else self.ranks_per_chain

    def check_chains(self, sources: Mapping[str, str], device: str, *, ragged: bool) -> None:
        """ragged: whether something is observed up to a number of transitions. Raises InputError
        for what several chains cannot have."""
        if self.chains == 1:
            return
        if self.replica != 0:
            raise InputError(
                f"{sources.get('replica', 'replica')}: {self.replica} given with {self.chains:,} "
                "chains; allowed: one of both, chains for all replicas below their number"
            )
        if device == "gpu":
            raise InputError(
                f"{sources.get('device', 'device')}: gpu given for {self.chains:,} chains; "
                "allowed: --device cpu"
            )
        if ragged:
            raise InputError(
                f"{sources.get('observe', 'observe')}: given for {self.chains:,} chains of a "
                "length in transitions, which have different numbers of samples; allowed: a "
                "length in time, steps or sweeps"
            )
