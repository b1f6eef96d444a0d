"""The chains of one group of ranks, all at a time: they swap temperatures with those of all groups.

    per round: each chain on its rung to the round's end -> its energy, to all ranks
    -> all decide alike who swaps: `laws.tempering`

A round is a whole number of stretches, on every rank alike, so that all meet where it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.cpu import HostChain
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.kernels.observe import REST_BITS
from distsim.laws.tempering import Ladder
from distsim.ranks.communicator import Communicator
from distsim.runs.checkpoint import Stand
from distsim.runs.conditions import in_steps
from distsim.runs.member import Common, Member
from distsim.runs.outcome import Outcome
from distsim.runs.team import begun
from distsim.weights.source import Network

_RUNGS = "rungs"  # in the ladder's state
_WORD = 1 << 62  # an energy is sent as two words: so many of these, and the rest


class Tempered:
    """A group of ranks, and the replicas that it makes: `team.Group`.

    saved: where all chains of an earlier run stand; ranks: those of all groups; taus: float64[R],
    of the rungs. Raises InputError on every rank of the group alike; a later one waits in `error`.
    """

    def __init__(
        self,
        common: Common,
        replicas: range,
        saved: Mapping[int, Stand],
        ranks: Communicator,
        taus: NDArray[np.float64],
    ) -> None:
        self.group, self.alike = common.group, ranks
        self.outcomes: dict[int, Outcome] = {}
        self.ladder = Ladder(taus, common.config.seed)
        self._rungs = [self.ladder.rung.copy()]  # in each round
        if saved:
            state = saved[0].ladder
            self.ladder.go_on(state)
            self._rungs = list(state[_RUNGS])
        self._every = interval(common.config, common.network)
        self._members: list[Member[HostChain]] = []
        for replica in replicas:
            before = self._members[0].chain if self._members else None
            self._members.append(begun(common, replica, saved.get(replica), before))
        self.chain.shard.check_energies("temper")
        self._over = self._swaps = False
        self._error: str | None = None

    @property
    def chain(self) -> HostChain:
        return self._members[-1].chain

    @property
    def over(self) -> bool:
        """On all ranks alike."""
        return self._over

    @property
    def error(self) -> str | None:
        return self._error or next((one.lack for one in self._members if one.lack), None)

    def advance(self) -> None:
        """A round: to its end, or the run's, which may be inside. Where all are at its end they
        swap, when they go on."""
        if self._swaps:
            self.ladder.swap(self._energies(), self.chain.shard.unit * 2.0**-REST_BITS)
            self._rungs.append(self.ladder.rung.copy())
        end = (self.ladder.rounds + 1) * self._every
        try:
            for one in self._members:
                rung = int(self.ladder.rung[one.chain.config.replica])
                one.chain.law.course.temper(float(self.ladder.taus[rung]), end)
                while one.chain.now() < end and not one.finished:
                    one.chain.advance(one.recorder)
        except InputError as error:
            self._error = str(error)
        fails = self._error is not None
        goes_on = not all(one.finished for one in self._members)
        inside = any(one.chain.now() < end for one in self._members)
        found = [self.alike.maximum(int(one)) for one in (fails, goes_on, inside)]
        if found[0]:
            self._error = self._error or "another group of ranks cannot go on"
        self._over = bool(found[0]) or not found[1]
        self._swaps = not found[2]

    def _energies(self) -> list[int]:
        """Of all chains, on every rank."""
        words = []
        for one in self._members:
            chain = one.chain
            energy = chain.shard.energy(chain.z, chain.x, self.group)
            words += [chain.config.replica, energy // _WORD, energy % _WORD]
        mine = np.array(words if self.group.rank == 0 else [], np.int64).view(np.uint64)
        parts, counts, _ = self.alike.exchange(mine, 0)
        found = [0] * self.ladder.taus.size
        for part, count in zip(parts, counts.tolist(), strict=True):
            for replica, high, low in part[:count].view(np.int64).reshape(-1, 3).tolist():
                found[replica] = high * _WORD + low
        return found

    def leave(self) -> None:
        for one in self._members:
            _, outcome = one.end(over=one.finished)
            self.outcomes[one.chain.config.replica] = outcome

    def stands(self) -> dict[int, Stand]:
        """The first chain's has the ladder's state, too."""
        found = {one.chain.config.replica: one.stand() for one in self._members}
        if 0 in found:
            state = {**self.ladder.state(), _RUNGS: self.rungs}
            found[0] = replace(found[0], ladder=state)
        return found

    @property
    def rungs(self) -> NDArray[np.int64]:
        """Of each chain in each round, int64[rounds, R]."""
        return np.array(self._rungs)

    @property
    def told(self) -> dict[str, Any]:
        """For the summary: by pairs of rungs, by chain, and the chain on each rung."""
        one = self.ladder
        return {
            "taus": one.taus.tolist(),
            "rounds": one.rounds,
            "acceptance": (one.accepted / np.maximum(one.tried, 1)).tolist(),
            "round_trips": one.trips.tolist(),
            "chains": np.argsort(one.rung).tolist(),
        }

    def arrays(self, times: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
        """For the output. times: of samples, float64[D], in model time or steps.

        A sample at a round's end is of the rung before the swap.
        """
        one = self.ladder
        found = {
            "taus": one.taus,
            "rung": self.rungs,
            "every": np.array(self._every),
            "tried": one.tried,
            "accepted": one.accepted,
            "round_trips": one.trips,
        }
        if times is not None:
            rounds = np.maximum(np.ceil(times / self._every).astype(np.int64) - 1, 0)
            found["chain"] = np.argsort(self.rungs, axis=1)[np.minimum(rounds, one.rounds)]
        return found

    def done(self) -> tuple[int, float, float]:
        members = self._members
        transitions = sum(one.recorder.transitions for one in members)
        chains = sum(one.recorder.fraction(one.chain.now()) for one in members)
        return transitions, chains, max(one.chain.now() for one in members)


def interval(config: Config, network: Network) -> float:
    """From swap to swap, in model time or steps: sweeps are rounded up to them."""
    assert config.swap_every is not None
    if config.model == "mpm":
        return config.swap_every
    return in_steps(repr(config.swap_every), network.neurons)
