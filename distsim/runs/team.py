"""The chains of one group of ranks, one after the other, each to its end.

They share the group's part of W and its engine. Of G groups each takes every G-th replica, so that
all have as much to do, but for one chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position, Seen
from distsim.chains.cpu import HostChain
from distsim.chains.opening import open_on_host
from distsim.errors import InputError
from distsim.ranks.communicator import Communicator
from distsim.runs.checkpoint import Stand
from distsim.runs.member import Common, Member
from distsim.runs.outcome import Outcome
from distsim.runs.preparation import length


class Group(Protocol):
    """A group of ranks and its chains: `Team`, side by side `Row`, or of chains that swap
    temperatures `Tempered`.

    | member | meaning |
    |---|---|
    | group | the ranks |
    | alike | those that advance alike: they, or the ranks of all groups |
    | chain | one that is being made, or the last one |
    | told | of chains that swap temperatures, for the summary; None of others |
    | arrays(times) | the same for the output, with samples at these times, float64[D] |
    | outcomes | of chains at their ends, by replica; after `leave` of all that have begun |
    | over | no chain is left to be made, or none can be |
    | error | why it cannot go on; of observables the group's root alone knows |
    | advance() | a stretch of a chain, or of all |
    | leave() | ends chains where they are |
    | stands() | where all chains that have begun stand, by replica |
    | done() | transitions so far; how many chains, in part those that are not at their ends; the |
    | | longest time |
    """

    group: Communicator
    alike: Communicator
    outcomes: dict[int, Outcome]

    @property
    def chain(self) -> Seen: ...

    @property
    def told(self) -> dict[str, Any] | None: ...

    def arrays(self, times: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]: ...

    @property
    def over(self) -> bool: ...

    @property
    def error(self) -> str | None: ...

    def advance(self) -> None: ...

    def leave(self) -> None: ...

    def stands(self) -> dict[int, Stand]: ...

    def done(self) -> tuple[int, float, float]: ...


def begun(
    common: Common, replica: int, stood: Stand | None, before: HostChain | None
) -> Member[HostChain]:
    """A chain at its start, or where it `stood`. before: another one of the same group, whose shard
    and engine it takes. Raises InputError on every rank of the group alike."""
    chain = open_on_host(
        common.network, common.of(replica), common.group, common.states_of(replica, stood),
        common.conditions(replica), before,
    )  # fmt: skip
    if stood is not None:
        chain.go_on(stood.position)
    return Member(common, chain, stood)


class Team:
    """A group of ranks, and the replicas that it makes; saved: where those of an earlier run stand.

    Raises InputError on every rank of the group alike; a later one waits in `error`.
    """

    def __init__(
        self,
        common: Common,
        replicas: Sequence[int],
        saved: Mapping[int, Stand],
        before: HostChain | None = None,
    ) -> None:
        """before: a chain of the network, whose shard and engine the others take."""
        self.group = self.alike = common.group
        self.outcomes: dict[int, Outcome] = {}
        self._common = common
        self._stands = {replica: saved[replica] for replica in replicas if replica in saved}
        self._left = list(reversed(replicas))
        self._limit, self._until = length(common.config, common.network)
        self._runs = True
        self._error: str | None = None  # of all its ranks,
        self._lack: str | None = None  # and of its root alone
        self._member = self._open(before)  # the one that is being made, or the last one
        self.told = None

    @property
    def chain(self) -> HostChain:
        return self._member.chain

    @property
    def over(self) -> bool:
        return not self._runs or self._error is not None

    @property
    def error(self) -> str | None:
        return self._error or self._lack

    def advance(self) -> None:
        """A stretch of the chain that is being made; after its end the next one opens."""
        try:
            self.chain.advance(self._member.recorder)
            self._lack = self._lack or self._member.lack
            if self._member.finished:
                self._end(over=True)
                if self._left:
                    self._member = self._open(self.chain)
        except InputError as error:
            self._error = str(error)

    def leave(self) -> None:
        if self._runs:
            self._end(over=False)

    def stands(self) -> dict[int, Stand]:
        if not self._runs:
            return self._stands
        return {**self._stands, self.chain.config.replica: self._member.stand()}

    def arrays(self, times: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
        return {}

    def done(self) -> tuple[int, float, float]:
        waiting = [self._stands[one].position for one in self._left if one in self._stands]
        transitions = sum(one.transitions for one in waiting)
        transitions += sum(one.transitions for one in self.outcomes.values())
        chains = len(self.outcomes) + sum(self._share(one) for one in waiting)
        if self._runs:
            transitions += self._member.recorder.transitions
            chains += self._member.recorder.fraction(self.chain.now())
        times = [one.time for one in self.outcomes.values()]
        return transitions, chains, max([self.chain.now() * self._runs, *times])

    def _share(self, position: Position) -> float:
        """How much of its length a chain has done."""
        if self._limit is not None:
            return position.transitions / self._limit
        return min(1.0, position.clock.high / self._until) if self._until else 0.0

    def _open(self, before: HostChain | None) -> Member[HostChain]:
        """The next chain, after the one before."""
        replica = self._left.pop()
        member = begun(self._common, replica, self._stands.get(replica), before)
        self._runs = True
        return member

    def _end(self, *, over: bool) -> None:
        replica = self.chain.config.replica
        stand, self.outcomes[replica] = self._member.end(over=over)
        if self._common.config.checkpoint is not None:
            self._stands[replica] = stand
        self._lack = self._lack or self._member.lack
        self._runs = False
