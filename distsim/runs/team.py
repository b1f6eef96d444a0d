"""The chains of one group of ranks, one after the other, each to its end.

They share the group's part of W and its engine. Of G groups each takes every G-th replica, so that
all have as much to do, but for one chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.chains.cpu import HostChain
from distsim.chains.opening import open_on_host
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.files.events import EVENTS
from distsim.laws.conditions import Conditions
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Collected
from distsim.runs.checkpoint import Stand
from distsim.runs.lifecycle import stand
from distsim.runs.observing import open_observation
from distsim.runs.outcome import EVENTS_OF, ROWS_OF, Outcome, given, of_chain
from distsim.runs.preparation import length
from distsim.weights.source import Network

INITIAL = "initial"  # its states at its start, eight a byte, among what a chain has given


class Team:
    """A group of ranks and its chains.

    network, config: of all chains; group: the ranks; replicas: of their chains; states: uint8[N]
    or, of all chains, uint8[R, N], where the configuration does not name them; conditions: of each
    chain; saved: where chains of an earlier run stand. Raises InputError on every rank of the group
    alike; a later one waits in `error`.
    """

    def __init__(
        self,
        network: Network,
        config: Config,
        group: Communicator,
        replicas: range,
        states: NDArray[np.uint8] | None,
        conditions: Callable[[int], Conditions],
        saved: Mapping[int, Stand],
    ) -> None:
        self.group = group
        self.outcomes: dict[int, Outcome] = {}  # of chains at their ends
        self._network = network
        self._states = states
        self._conditions = conditions
        self._config = config
        self._stands = {replica: saved[replica] for replica in replicas if replica in saved}
        self._left = list(reversed(replicas))
        self._limit, self._until = length(config, network)
        self.chain = self._open(None)  # the one that is being made, or the last one
        self._error: str | None = None  # of all its ranks,
        self._lack: str | None = None  # and of its root alone

    @property
    def over(self) -> bool:
        """No chain is left to be made, or none can be."""
        return not self._runs or self._error is not None

    @property
    def error(self) -> str | None:
        """Why it cannot go on; of observables the group's root alone knows."""
        return self._error or self._lack

    def advance(self) -> None:
        """A stretch of the chain that is being made; after its end the next one opens."""
        try:
            self.chain.advance(self._recorder)
            self._look()
            if self._recorder.finished(self.chain.now()):
                self._end(over=True)
                if self._left:
                    self.chain = self._open(self.chain)
        except InputError as error:
            self._error = str(error)

    def leave(self) -> None:
        """End the chain that is being made where it is."""
        if self._runs:
            self._end(over=False)

    def stands(self) -> dict[int, Stand]:
        """Where all chains that have begun stand, by replica; on the group's root with what they
        have given."""
        if not self._runs:
            return self._stands
        position = self.chain.position(self._recorder)
        self._recorder.flush()
        now = self._stand(position, given(self._recorder, self._kept))
        return {**self._stands, self.chain.config.replica: now}

    def done(self) -> tuple[int, float, float]:
        """Transitions so far; how many chains, in part those that are not at their ends; the
        longest time."""
        waiting = [self._stands[one].position for one in self._left if one in self._stands]
        transitions = sum(one.transitions for one in waiting)
        transitions += sum(one.transitions for one in self.outcomes.values())
        chains = len(self.outcomes) + sum(self._share(one) for one in waiting)
        if self._runs:
            transitions += self._recorder.transitions
            chains += self._recorder.fraction(self.chain.now())
        times = [one.time for one in self.outcomes.values()]
        return transitions, chains, max([self.chain.now() * self._runs, *times])

    def _share(self, position: Position) -> float:
        """How much of its length a chain has done."""
        if self._limit is not None:
            return position.transitions / self._limit
        return min(1.0, position.clock.high / self._until) if self._until else 0.0

    # --------------------------------------------------------------------------------- one chain
    def _open(self, before: HostChain | None) -> HostChain:
        """The next chain, after the one before, at its start or where it stood."""
        replica = self._left.pop()
        config = replace(
            self._config, chains=1, ranks_per_chain=None, replica=replica, device="cpu",
            tau=self._config.tau_of(replica),
        )  # fmt: skip
        stood = self._stands.get(replica)
        states = (
            self._states
            if self._states is None or self._states.ndim == 1
            else self._states[replica]
        )
        if stood is not None:
            states = stood.position.states
        conditions = self._conditions(replica)
        chain = open_on_host(self._network, config, self.group, states, conditions, before)
        observed = None if stood is None else stood.observed
        observation = open_observation(config, self._network, chain, None, observed, on_disk=False)
        root = self.group.rank == 0
        self._kept = Collected()
        self._recorder = Recorder(
            self._limit,
            self._until,
            self._kept if root and config.events else None,
            observation,
            config.save_events,
        )
        if observation is not None:
            observation.store = self._kept
        self._initial = chain.initial
        if stood is not None:
            self._go_on(chain, stood)
        self._begun = self._recorder.transitions, chain.now()
        self._runs = True
        return chain

    def _go_on(self, chain: HostChain, stood: Stand) -> None:
        position, recorder = stood.position, self._recorder
        chain.go_on(position)
        recorder.go_on(position.transitions, position.last, position.total)
        self._initial = np.unpackbits(stood.given[INITIAL], count=self._network.neurons)
        if recorder.sink is not None:
            time, neuron, state = (
                stood.given[f"{EVENTS_OF}{name}"][: position.transitions] for name in EVENTS
            )
            self._kept.append(time, neuron, state)
        if recorder.observation is not None:
            names = recorder.observation.plan.datasets
            self._kept.extend({name: stood.given[f"{ROWS_OF}{name}"] for name in names})

    def _end(self, *, over: bool) -> None:
        """The chain is at its end (`over`), or is to be left."""
        chain, recorder = self.chain, self._recorder
        position = chain.position(recorder)
        recorder.end(over=over)
        self._look()
        replica, arrays = chain.config.replica, given(recorder, self._kept)
        if self._config.checkpoint is not None:
            self._stands[replica] = self._stand(position, arrays)
        self.outcomes[replica] = of_chain(
            chain, recorder, self._initial, arrays, self._begun, over=over
        )
        self._runs = False

    def _look(self) -> None:
        """Whether observables take no more."""
        observation = self._recorder.observation
        if observation is not None and observation.error is not None:
            self._lack = observation.error

    def _stand(self, position: Position, arrays: dict[str, NDArray[Any]]) -> Stand:
        initial = {INITIAL: np.packbits(self._initial)}
        return replace(stand(self.chain, self._recorder, position), given=initial | arrays)
