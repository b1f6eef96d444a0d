"""The chains of one group of ranks side by side, all the same number of sweeps on: in a row.

    whole sweeps of all chains   `chains.abreast`
    what is left of each         one after the other, by a `Team`: a length that ends in a sweep

A `Team` alone makes the same streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains import layers
from distsim.chains.abreast import Counts, Lane
from distsim.chains.chain import Seen
from distsim.chains.cpu import HostChain
from distsim.chains.layers import Layers
from distsim.chains.opening import open_on_host, start_of
from distsim.errors import InputError
from distsim.runs.checkpoint import Stand
from distsim.runs.member import Common, Member
from distsim.runs.outcome import Outcome
from distsim.runs.preparation import length
from distsim.runs.team import Group, Team

_SECONDS = 0.05  # of a stretch: signals, checkpoints and reports wait for it
_BYTES = 1 << 26  # of its events, where they are kept; a sweep's may be more
_EVENT = 25  # bytes


def open_group(common: Common, replicas: Sequence[int], saved: Mapping[int, Stand]) -> Group:
    """These chains side by side where that is asked for or faster, else one after the other.
    Raises InputError on every rank of the group alike."""
    config = common.config
    if config.scan != "sequential" or config.engine not in ("auto", "layers"):
        return Team(common, replicas, saved)
    first = replicas[0]
    before = open_on_host(
        common.network, common.of(first), common.group,
        common.states_of(first, saved.get(first)), common.conditions(first),
    )  # fmt: skip
    lack = layers.lack(before.shard, [common.conditions(replica) for replica in replicas])
    if common.group.size > 1:
        lack = f"{common.group.size} ranks a chain; allowed: 1"
    if config.engine == "layers":
        if lack is not None:
            raise InputError(f"engine layers: given with {lack}, or another engine")
        layers.check_room(before.shard, len(replicas))
    elif lack is not None or not layers.faster(before.shard, len(replicas)):
        return Team(common, replicas, saved, before)
    if not _alike(replicas, saved, before.shard.neurons):
        return Team(common, replicas, saved, before)
    return Row(common, replicas, saved, before)


def _alike(replicas: Sequence[int], saved: Mapping[int, Stand], neurons: int) -> bool:
    """Whether all chains stand at the end of the same sweep."""
    steps = {
        saved[replica].position.clock.number if replica in saved else 0 for replica in replicas
    }
    return len(steps) == 1 and steps.pop() % neurons == 0


class Row:
    """A group of ranks, and the replicas that it makes: `team.Group`."""

    told = None

    def __init__(
        self,
        common: Common,
        replicas: Sequence[int],
        saved: Mapping[int, Stand],
        before: HostChain,
    ) -> None:
        """before: a chain of the network, whose shard the row has. Raises InputError on every rank
        of the group alike."""
        self.group = self.alike = common.group
        self.outcomes: dict[int, Outcome] = {}
        self._common, self._before = common, before
        self._limit, self._until = length(common.config, common.network)
        self._neurons = common.network.neurons
        self._sweeps = 1  # of the next stretch
        self._tail: Team | None = None  # makes what is left
        self._error: str | None = None
        self._over = False
        stands = [saved.get(replica) for replica in replicas]
        starts = [
            start_of(common.of(replica), self._neurons, self.group,
                     common.states_of(replica, stood), common.conditions(replica))
            for replica, stood in zip(replicas, stands, strict=True)
        ]  # fmt: skip
        self._kept = common.config.events or common.config.observe is not None
        self._abreast = Layers(
            before.shard,
            common.config.seed,
            replicas,
            np.stack([states for states, _ in starts]),
            [conditions for _, conditions in starts],
            keeps=bool(self._kept),
            timer=before.timer,
            threads=1 if common.several_ranks else None,
        )
        self._members: list[Member[Lane]] = []
        self._go_on(stands)
        for r, (replica, (states, conditions)) in enumerate(zip(replicas, starts, strict=True)):
            lane = Lane(
                self._abreast, r, common.of(replica), self.group, conditions, states,
                before.law.clock.exponent,
            )  # fmt: skip
            self._members.append(Member(common, lane, stands[r]))

    def _go_on(self, stands: Sequence[Stand | None]) -> None:
        positions = [one.position for one in stands if one is not None]
        if positions:
            counts = [Counts(one.transitions, one.last, one.total) for one in positions]
            self._abreast.go_on(positions[0].clock.number // self._neurons, counts)

    @property
    def chain(self) -> Seen:
        return self._members[-1].chain

    @property
    def over(self) -> bool:
        return self._over or self.error is not None

    @property
    def error(self) -> str | None:
        if self._tail is not None:
            return self._tail.error
        return next((one.lack for one in self._members if one.lack), None)

    def advance(self) -> None:
        """Some sweeps of all chains, or a stretch of one."""
        if self._tail is not None:
            self._tail.advance()
            self._take_tail()
            return
        sweeps = min(self._sweeps, self._left())
        if sweeps:
            begin = perf_counter()
            self._abreast.advance(sweeps)
            for r, one in enumerate(self._members):
                one.recorder.take_over(self._abreast.block(r), *self._abreast.counts(r))
            self._abreast.timer.stamp("record")
            self._pace(perf_counter() - begin, sweeps)
        elif all(one.finished for one in self._members):
            self._end(over=True)
        else:
            replicas = [one.chain.config.replica for one in self._members]
            self._tail = Team(self._common, replicas, self.stands(), self._before)

    def _left(self) -> int:
        """How many sweeps no chain ends in."""
        if self._until is not None:
            return int(self._until) // self._neurons - self._abreast.sweep
        assert self._limit is not None
        most = max(one.recorder.transitions for one in self._members)
        return (self._limit - most) // self._neurons

    def _pace(self, seconds: float, sweeps: int) -> None:
        """Choose how many sweeps the next stretch may have."""
        pace = min(max(_SECONDS / max(seconds, 1e-6), 0.25), 4.0)
        self._sweeps = max(1, int(sweeps * pace))
        if self._kept:
            room = len(self._members) * self._neurons * _EVENT
            self._sweeps = max(1, min(self._sweeps, _BYTES // room))

    def _take_tail(self) -> None:
        assert self._tail is not None
        if self._tail.over:
            self.outcomes = self._since_begun(self._tail.outcomes)
            self._over = True

    def _since_begun(self, outcomes: Mapping[int, Outcome]) -> dict[int, Outcome]:
        """With what this row began them with."""
        begun = {one.chain.config.replica: one.begun for one in self._members}
        return {
            replica: replace(one, before=begun[replica][0], since=begun[replica][1])
            for replica, one in outcomes.items()
        }

    def leave(self) -> None:
        if self._tail is not None:
            self._tail.leave()
            self.outcomes = self._since_begun(self._tail.outcomes)
        elif not self._over:
            self._end(over=False)

    def _end(self, *, over: bool) -> None:
        """All chains at their ends, or where they are to be left."""
        self._ended = {}
        for one in self._members:
            replica = one.chain.config.replica
            self._ended[replica], self.outcomes[replica] = one.end(over=over)
        self._over = True

    def stands(self) -> dict[int, Stand]:
        if self._tail is not None:
            return self._tail.stands()
        if self._over:
            return self._ended
        return {one.chain.config.replica: one.stand() for one in self._members}

    def arrays(self, times: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
        return {}

    def done(self) -> tuple[int, float, float]:
        if self._tail is not None:
            return self._tail.done()
        members = self._members
        transitions = sum(one.recorder.transitions for one in members)
        chains = sum(one.recorder.fraction(one.chain.now()) for one in members)
        return transitions, chains, max(one.chain.now() for one in members)
