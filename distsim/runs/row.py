"""The chains of one group of ranks side by side, all the same number of sweeps on: in a row.

    whole sweeps of all chains   `chains.abreast`
    what is left of each         one after the other, by a `Team`: a length that ends in a sweep

A `Team` alone makes the same streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains import layers
from distsim.chains.abreast import Abreast, Lane
from distsim.chains.chain import Position, Seen, at_start
from distsim.chains.cpu import HostChain
from distsim.chains.layers import Layers
from distsim.chains.opening import open_on_host, start_of
from distsim.errors import InputError
from distsim.laws.conditions import Conditions
from distsim.runs.checkpoint import Stand
from distsim.runs.member import Common, Member
from distsim.runs.outcome import Outcome
from distsim.runs.preparation import length
from distsim.runs.team import Group, Team


def open_group(common: Common, replicas: Sequence[int], saved: Mapping[int, Stand]) -> Group:
    """These chains side by side where that is asked for or faster, else one after the other.
    Raises InputError on every rank of the group alike."""
    config = common.config
    if common.gpu:
        return _on_gpu(common, replicas, saved)
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
    starts = starts_of(common, replicas, saved)
    abreast = Layers(
        before.shard,
        config.seed,
        replicas,
        np.stack([states for states, _ in starts]),
        [conditions for _, conditions in starts],
        positions_of(replicas, starts, saved),
        keeps=_keeps(common),
        exponent=before.law.clock.exponent,
        timer=before.timer,
        threads=1 if common.several_ranks else None,
    )
    return Row(common, abreast, replicas, starts, saved, before)


def _on_gpu(common: Common, replicas: Sequence[int], saved: Mapping[int, Stand]) -> Group:
    """On the GPU that this rank has taken."""
    from distsim.chains.gpu_many import open_on_gpu  # late: it needs CuPy

    network, config = common.network, common.config
    if config.model == "bm" and not _alike(replicas, saved, network.neurons):
        return Team(common, replicas, saved)  # what is left of each
    starts = starts_of(common, replicas, saved)
    positions = positions_of(replicas, starts, saved)
    abreast = open_on_gpu(network, config, common.group, replicas, starts, positions)
    return Row(common, abreast, replicas, starts, saved, None)


def _alike(replicas: Sequence[int], saved: Mapping[int, Stand], neurons: int) -> bool:
    """Whether all chains stand at the end of the same sweep."""
    steps = {
        saved[replica].position.clock.number if replica in saved else 0 for replica in replicas
    }
    return len(steps) == 1 and steps.pop() % neurons == 0


def starts_of(
    common: Common, replicas: Sequence[int], saved: Mapping[int, Stand]
) -> list[tuple[NDArray[np.uint8], Conditions]]:
    """The states and conditions of chains, at their starts or where they stood."""
    return [
        start_of(
            common.of(replica), common.network.neurons, common.group,
            common.states_of(replica, saved.get(replica)), common.conditions(replica),
        )
        for replica in replicas
    ]  # fmt: skip


def positions_of(
    replicas: Sequence[int],
    starts: Sequence[tuple[NDArray[np.uint8], Conditions]],
    saved: Mapping[int, Stand],
) -> list[Position]:
    """Where chains of an earlier run stood, those that had not begun at their starts; none if there
    was none."""
    return [
        saved[replica].position if replica in saved else at_start(states)
        for replica, (states, _) in zip(replicas, starts, strict=True)
        if saved
    ]


def _keeps(common: Common) -> bool:
    """Whether somebody wants the events."""
    return bool(common.config.events) or common.config.observe is not None


class Row:
    """A group of ranks, and the replicas that it makes: `team.Group`."""

    told = None

    def __init__(
        self,
        common: Common,
        abreast: Abreast,
        replicas: Sequence[int],
        starts: Sequence[tuple[NDArray[np.uint8], Conditions]],
        saved: Mapping[int, Stand],
        before: HostChain | None,
    ) -> None:
        """starts: `starts_of`; saved: where those of an earlier run stand; before: a chain of the
        network on this host, if there is one. Raises InputError on every rank of the
        group alike."""
        self.group = self.alike = common.group
        self.outcomes: dict[int, Outcome] = {}
        self._common, self._abreast, self._before = common, abreast, before
        self._limit, self._until = length(common.config, common.network)
        self._keeps = _keeps(common)
        self._tail: Team | None = None  # makes what is left
        self._over = False
        self._ended: dict[int, Stand] = {}
        stands = [saved.get(replica) for replica in replicas]
        self._members: list[Member[Lane]] = []
        for r, (replica, (states, conditions)) in enumerate(zip(replicas, starts, strict=True)):
            lane = Lane(abreast, r, common.of(replica), self.group, conditions, states)
            self._members.append(Member(common, lane, stands[r]))

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
        watched = self._members if self._keeps else []
        return next((one.lack for one in watched if one.lack), None)

    def advance(self) -> None:
        """Some sweeps of all chains, or a stretch of one."""
        if self._tail is not None:
            self._tail.advance()
            self._take_tail()
            return
        if self._abreast.advance(self._limit, self._until):
            if self._keeps:
                self._tell()
            return
        self._settle()
        self._over = all(one.finished for one in self._members)
        if not self._over:
            replicas = [one.chain.config.replica for one in self._members]
            self._tail = Team(self._common, replicas, self.stands(), self._before)
            self._abreast.close()

    def _tell(self) -> None:
        """Have recorders take what was made."""
        for r, one in enumerate(self._members):
            made = self._abreast.standing(r)
            block = self._abreast.block(r)
            one.recorder.take_over(block, made.transitions, made.last, made.total)
        self._abreast.timer.stamp("record")

    def _settle(self) -> None:
        """Have recorders know all."""
        if not self._keeps:  # they do otherwise
            self._tell()

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
        elif not self._ended:
            self._end()

    def _end(self) -> None:
        """All chains at their ends, or where they are to be left."""
        self._settle()
        for one in self._members:
            replica = one.chain.config.replica
            self._ended[replica], self.outcomes[replica] = one.end(over=self._over)
        self._abreast.close()

    def stands(self) -> dict[int, Stand]:
        if self._tail is not None:
            return self._tail.stands()
        if self._ended:
            return self._ended
        self._settle()
        return {one.chain.config.replica: one.stand() for one in self._members}

    def arrays(self, times: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
        return {}

    def done(self) -> tuple[int, float, float]:
        if self._tail is not None:
            return self._tail.done()
        made, times = self._abreast.transitions(), self._abreast.times()
        if self._limit is not None:
            chains = float(made.sum()) / self._limit
        else:
            chains = float(np.minimum(times / (self._until or 1.0), 1.0).sum())
        return int(made.sum()), chains, float(times.max())
