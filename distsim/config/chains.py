"""The options of many chains that share W."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Self

from distsim.config.kinds import Integer, Number, Text, plain
from distsim.config.roles import Role, option
from distsim.errors import InputError

SWAP_EVERY = 1.0  # the default of swap_every
MOST_CHAINS = 1 << 16  # the replica of a chain is 16 bits of a random number's name


@dataclass(frozen=True)
class Rungs:
    """The ends of a geometric ladder of temperatures, or a table of all: the text."""

    metavar = "FROM:TO|FILE.csv"

    def __call__(self, value: object) -> str:
        if isinstance(value, str) and value.count(":") == 1:
            try:
                first, last = (Number(positive=True)(end) for end in value.split(":"))
            except ValueError:
                raise ValueError(str(self)) from None
            return f"{plain(first)}:{plain(last)}"
        return Text(str(self), ending=".csv")(value)

    def __str__(self) -> str:
        return "FROM:TO, two finite numbers above 0, or a .csv file of the column tau"


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

    temper: str | None = option(
        None, Rungs(), Role.STREAM, "Temperatures that the chains swap: of a geometric ladder."
    )
    swap_every: float | None = option(
        None,
        Number(positive=True),
        Role.STREAM,
        f"Model time (mpm) or sweeps (bm) from swap to swap [default: {SWAP_EVERY:g}].",
    )

    @property
    def together(self) -> int | None:
        """Ranks that share a chain; None: all."""
        return 1 if self.ranks_per_chain is None and self.chains > 1 else self.ranks_per_chain

    def alone(self, replica: int, **others: object) -> Self:
        """The same for one of the chains by itself, with other values that are known to be good."""
        one = copy(self)
        fields = {"chains": 1, "ranks_per_chain": None, "temper": None, "swap_every": None}
        for name, value in {**fields, "replica": replica, **others}.items():
            object.__setattr__(one, name, value)  # nothing is to be checked again
        return one

    def check_tempering(
        self, sources: Mapping[str, str], *, timed: bool, others: bool
    ) -> float | None:
        """The interval of swaps. timed: whether the run's length says when it ends; others: whether
        temperatures or a stimulus are given. Raises InputError."""
        if self.temper is None:
            if self.swap_every is not None:
                raise InputError(
                    f"{sources.get('swap_every', 'swap_every')}: {self.swap_every:g} given, but "
                    "nothing swaps; allowed: with --temper FROM:TO"
                )
            return None
        place = f"{sources.get('temper', 'temper')}: {self.temper} given"
        if self.chains == 1:
            raise InputError(f"{place} for 1 chain; allowed: 2 or more (--chains R)")
        if not timed:
            raise InputError(
                f"{place} for a length in transitions; allowed: a length in time, steps or sweeps"
            )
        if others:
            raise InputError(f"{place} beside tau, a tau_schedule or a stimulus; allowed: without")
        return SWAP_EVERY if self.swap_every is None else self.swap_every

    def check_chains(self, sources: Mapping[str, str], *, ragged: bool) -> None:
        """ragged: whether something is observed up to a number of transitions. Raises InputError
        for what several chains cannot have."""
        if self.chains == 1:
            return
        if self.replica != 0:
            raise InputError(
                f"{sources.get('replica', 'replica')}: {self.replica} given with {self.chains:,} "
                "chains; allowed: one of both, chains for all replicas below their number"
            )
        if ragged:
            raise InputError(
                f"{sources.get('observe', 'observe')}: given for {self.chains:,} chains of a "
                "length in transitions, which have different numbers of samples; allowed: a "
                "length in time, steps or sweeps"
            )

    def check_layers(self, sources: Mapping[str, str], engine: str, scan: str | None) -> None:
        """scan: None of an MPM. Raises InputError for chains that cannot be side by side."""
        if engine != "layers":
            return
        lacks = {
            "the mpm": scan is None,
            "a random scan": scan == "random",
            "1 chain": self.chains == 1,
            "tempering": self.temper is not None,
        }
        lack = next((name for name, holds in lacks.items() if holds), None)
        if lack is not None:
            raise InputError(
                f"{sources.get('engine', 'engine')}: layers given for {lack}; allowed: for several "
                "chains (--chains R) of a bm with a sequential scan, or another engine"
            )
