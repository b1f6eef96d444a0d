"""One of several chains that share a network: it, its recorder, and what it has given so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position, Seen
from distsim.config.options import Config
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

One = TypeVar("One", bound=Seen)

INITIAL = "initial"  # its states at its start, eight a byte, among what a chain has given


class Common(NamedTuple):
    """What the chains of a group have in common.

    network, config: of all chains; group: the ranks that make them; states: uint8[N] or, of all
    chains, uint8[R, N], where the configuration does not name them; conditions: of each chain;
    several_ranks: whether the run has others than this one; gpu: whether each has taken a GPU, on
    which its chains are to be.
    """

    network: Network
    config: Config
    group: Communicator
    states: NDArray[np.uint8] | None
    conditions: Callable[[int], Conditions]
    several_ranks: bool
    gpu: bool

    def of(self, replica: int) -> Config:
        """Of one chain alone."""
        config = self.config
        engine = "auto" if config.engine == "layers" else config.engine
        return config.alone(replica, tau=config.tau_of(replica), device="cpu", engine=engine)

    def states_of(self, replica: int, stood: Stand | None) -> NDArray[np.uint8] | None:
        """At its start, or where it `stood`: uint8[N]; None: those that its configuration names."""
        states = self.states if stood is None else stood.position.states
        return states[replica] if states is not None and states.ndim > 1 else states


class Member(Generic[One]):
    """A chain at its start, or where it `stood`. Raises InputError on every rank of the group
    alike.

    begun: transitions and time with which this attempt began it.
    """

    def __init__(self, common: Common, chain: One, stood: Stand | None) -> None:
        network, group, config = common.network, common.group, chain.config
        self.chain = chain
        earlier = None if stood is None else stood.observed
        observation = open_observation(config, network, chain, None, earlier, on_disk=False)
        self._kept = Collected()
        sink = self._kept if group.rank == 0 and config.events else None
        self.recorder = Recorder(*length(config, network), sink, observation, config.save_events)
        if observation is not None:
            observation.store = self._kept
        self._initial = self.chain.initial
        if stood is not None:
            self._go_on(stood, network.neurons)
        self.begun = self.recorder.transitions, self.chain.now()

    def _go_on(self, stood: Stand, neurons: int) -> None:
        position, recorder = stood.position, self.recorder
        recorder.go_on(position.transitions, position.last, position.total)
        self._initial = np.unpackbits(stood.given[INITIAL], count=neurons)
        if recorder.sink is not None:
            time, neuron, state = (
                stood.given[f"{EVENTS_OF}{name}"][: position.transitions] for name in EVENTS
            )
            self._kept.append(time, neuron, state)
        if recorder.observation is not None:
            names = recorder.observation.plan.datasets
            self._kept.extend({name: stood.given[f"{ROWS_OF}{name}"] for name in names})

    @property
    def finished(self) -> bool:
        return self.recorder.finished(self.chain.now())

    @property
    def lack(self) -> str | None:
        """Why its observables take no more; the group's root alone knows."""
        observation = self.recorder.observation
        return None if observation is None else observation.error

    def stand(self) -> Stand:
        """Where it stands; on the group's root with what it has given."""
        position = self.chain.position(self.recorder)
        self.recorder.flush()
        return self._stand(position, given(self.recorder, self._kept))

    def end(self, *, over: bool) -> tuple[Stand, Outcome]:
        """At its end (`over`), or where it is to be left."""
        chain, recorder = self.chain, self.recorder
        position = chain.position(recorder)
        recorder.end(over=over)
        arrays = given(recorder, self._kept)
        outcome = of_chain(chain, recorder, self._initial, arrays, self.begun, over=over)
        return self._stand(position, arrays), outcome

    def _stand(self, position: Position, arrays: dict[str, NDArray[Any]]) -> Stand:
        initial = {INITIAL: np.packbits(self._initial)}
        return replace(stand(self.chain, self.recorder, position), given=initial | arrays)
