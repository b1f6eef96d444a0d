"""A chain on GPUs, one rank a GPU, the host out of the loop: the twin of `chains.cpu`.

A round is a fixed sequence of kernels and one exchange; a state on the device (which window, what
is next, how many events so far) lets each round do the right thing: window rule, clock, digest and
the run's end included. The host launches many rounds at once, looks at the state now and then,
takes recorded events from a ring, and enlarges what became too small. Every decision here follows
from states that are the same on all ranks, so that all ranks launch the same.

Two exchanges: NCCL's collectives between the kernels of a CUDA graph, or peer memory inside one
resident kernel (one rank needs none and takes the resident kernel).
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.chains.gpu_events import ring_entries, taken
from distsim.chains.gpu_setup import check_fit, choose_exchange, margins, open_peers
from distsim.config.options import Config
from distsim.engines.timer import Timer
from distsim.gpu.capacity import Room, active_neurons, enlarged, first_room
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import free_unused
from distsim.gpu.launcher import Device
from distsim.gpu.layout import HEADER, STAGES, Halt
from distsim.kernels.events import LIMIT
from distsim.kernels.mcculloch_pitts import largest_response
from distsim.kernels.window import Clock
from distsim.laws.conditions import Conditions
from distsim.laws.opening import open_law
from distsim.ranks.communicator import Communicator
from distsim.ranks.nccl import Nccl, connect_gpus
from distsim.recording.recorder import Recorder
from distsim.weights.shard import load
from distsim.weights.source import Network

# Rounds between two looks at the state: few at first, so that what is too small is found soon, then
# so many that a look costs nothing beside them, and a stop or a report does not have to wait.
_FIRST_ROUNDS, _MOST_ROUNDS = 64, 2048
_GRAPH_ROUNDS = 32  # of one CUDA graph: its launch costs little beside them
_RACE_WORDS = 2  # that `race` exchanges a round: see `Word` in race.cu
# How long a kernel waits for other ranks, in watchdogs of a minute at least: longer than any of
# these does.
_PATIENCE, _SHORTEST_WATCHDOG, _NANOSECONDS = 11.0, 60.0, 1e9


class DeviceChain:
    """A network in motion on the GPU that this rank has taken (`take_gpu`)."""

    place = "gpu"

    def __init__(
        self,
        network: Network,
        config: Config,
        ranks: Communicator,
        states: NDArray[np.uint8],
        conditions: Conditions,
    ) -> None:
        """`states`: of all neurons at the start, uint8[N]."""
        self.config, self.conditions = config, conditions
        self.ranks = ranks
        self.timer = Timer()
        self.initial = states
        self.windows = self.replays = self.applies = 0
        self._now = 0.0
        self._taken = 0  # recorded events that the sink has
        self._rounds = _FIRST_ROUNDS
        self._race = config.engine == "race"
        self.engine = "race" if self._race else "relax"
        self._energies = config.energies
        self._nccl: Nccl | None = None
        self._begun = False
        self._running = False
        self._state: Any = None  # as last looked at
        self._held = ExitStack()  # what gives the GPU's memory back
        self._held.callback(free_unused)
        self.exchange: str | None = choose_exchange(config, ranks)
        check_fit(network, config, ranks)
        try:
            self._build(network, conditions)
        except BaseException:
            self.abandon()
            raise

    # ------------------------------------------------------------------------------------- set-up
    def _build(self, network: Network, conditions: Conditions) -> None:
        """The weights, the law, and the device's constants, buffers and first state."""
        config, ranks = self.config, self.ranks
        self.shard = shard = load(network, config.weight_bits, ranks, self._columns)
        self.law = law = open_law(config, shard, ranks, conditions)
        x = self.initial[shard.first : shard.first + shard.size].copy()
        z = shard.responses(self.initial)
        self.device = Device(
            weights=shard.storage, z=z, x=x, rest=shard.rest, boltzmann=not law.bounded,
            race=self._race, neurons=shard.neurons, first=shard.first, ranks=ranks.size,
            rank=ranks.rank, most=law.most,
            active=active_neurons(law.target, ranks.size, bounded=law.bounded),
        )  # fmt: skip
        self._held.callback(self.device.release)
        margin, doubt = margins(law, shard, self.device.slack)
        patience = _PATIENCE * _NANOSECONDS * max(config.watchdog, _SHORTEST_WATCHDOG)
        self.device.set_constants(
            seed=config.seed, scale=law.scale, margin=margin, doubt=doubt, target=law.target,
            most=law.most, per_neuron=law.octaves_per_neuron, patience=min(LIMIT, patience),
            sequential=law.scan is not None and law.scan.sequential,
        )  # fmt: skip
        self._set_clock(law.clock)
        self._reserve(
            first_room(shard.size, ranks.size, race=self._race, target=law.target, most=law.most)
        )
        self._top = ranks.maximum(largest_response(z, x, law.course.clamped))

    def _columns(self, neurons: int, size: int, bits: int) -> DeviceColumns:
        columns = DeviceColumns(neurons, size, bits)
        self._held.callback(columns.release)
        return columns

    def _set_clock(self, clock: Clock, **counters: float) -> None:
        self.device.write_state(
            number=clock.number, high=clock.high, low=clock.low,
            started=clock.exponent is not None, exponent=clock.exponent or 0,
            record_high=clock.high, **counters,
        )  # fmt: skip
        self._now = clock.high

    def _reserve(self, room: Room) -> None:
        self._room = room
        self.device.reserve(room)
        if self.ranks.size == 1:
            return
        if self.exchange == "peer":
            must = self.config.exchange == "peer"
            areas = open_peers(self.device.peers, room.events, self.ranks, must=must)
            self.device.reach_peers(areas)
            self.exchange = "peer" if areas else "nccl"
        if self.exchange == "nccl" and self._nccl is None:
            self._nccl = connect_gpus(self.ranks)

    def _begin(self, recorder: Recorder) -> None:
        """What only the recorder knows: the run's length, and whether events are wanted."""
        self._recording = recorder.wants_events or self._energies
        wanted = self.ranks.maximum(int(self._recording)) == 1
        ring = ring_entries(self.law.most) if wanted else 0
        self.device.reserve_ring(ring, recording=self._recording, energies=self._energies)
        self.device.set_constants(
            limit=-1 if recorder.limit is None else recorder.limit,
            timed=recorder.until is not None, until=recorder.until or 0.0,
        )  # fmt: skip
        self.device.upload()
        self.device.begin(self._top, again=False)
        self._begun = True

    @property
    def target(self) -> int:
        return self.law.target

    # ----------------------------------------------------------------------------------- the loop
    def advance(self, recorder: Recorder) -> None:
        """Many windows, or what of them belongs to the run; the next are launched meanwhile."""
        self._recorder = recorder
        if not self._begun:
            self._begin(recorder)
        if not self._running:
            self._launch()
        state = self._await()
        if state["halted"] & Halt.LOST_RANK:
            raise RuntimeError(f"rank {self.ranks.rank}: waited in vain for another rank's events")
        if state["halted"]:
            self._take_over(state)
            self._enlarge(state)
            return
        if recorder.limit is not None and state["transitions"] == recorder.transitions:
            self._check_motion(state)
        if not state["finished"]:
            self._rounds = min(2 * self._rounds, _MOST_ROUNDS)
            self.device.free_ring(self._taken)
            self._launch()
        self._take_over(state)

    def _check_motion(self, state: Any) -> None:
        """Raise InputError for a network at rest, on every rank alike; after a look without events,
        so that z and x have been what they are for some windows."""
        self.law.clock = _clock(state)
        z = self._responses(state)
        standstill = None if state["finished"] else self.law.standstill(z, self.device.states())
        if standstill is not None:
            raise standstill

    def _await(self) -> Any:
        """The state when all that was launched is done."""
        state = self.device.fetch_state()
        self._running = False
        return state

    def _take_over(self, state: Any) -> None:
        """What the device has recorded and counted up to this state, while it goes on."""
        head = int(state["ring_head"])
        columns = None
        if self._recording and head > self._taken:
            columns = taken(
                self.device, self.shard, self.ranks, (self._taken, head), energies=self._energies
            )
        self._taken = head
        self._recorder.take_over(
            columns, int(state["transitions"]), float(state["last"]), int(state["digest"])
        )
        # The clock of a window moves before its events are recorded: say what is recorded.
        self._now = float(state["record_high"] if state["record"] else state["high"])
        self.windows = int(state["windows"])
        self.replays = int(state["replays"])
        self.applies = int(state["applies"])
        self._state = state
        self.timer.stamp("look")
        self.timer.phases = {
            stage: spent / _NANOSECONDS
            for stage, spent in zip(STAGES, state["spent"].tolist(), strict=True)
            if spent
        }

    def _settled(self) -> Any:
        """The state when all that was launched is done and taken over."""
        if self._running:
            self._take_over(self._await())
        return self.device.fetch_state() if self._state is None else self._state

    def _launch(self) -> None:
        if self.exchange == "peer":
            self.device.run_resident(self._rounds)
        else:
            if not self.device.captured:
                self.device.capture(_GRAPH_ROUNDS, self._collective())
            self.device.run_graph(max(1, self._rounds // _GRAPH_ROUNDS))
        self._running = True

    def _collective(self) -> Callable[[int, int, int], None] | None:
        """What ranks exchange in a round, from and to device memory, on a stream."""
        nccl = self._nccl
        if nccl is None:
            return None
        if self._race:
            return lambda send, receive, stream: nccl.minimum(send, receive, _RACE_WORDS, stream)
        words = HEADER + self._room.events
        return lambda send, receive, stream: nccl.all_gather(send, receive, words, stream)

    def _enlarge(self, state: Any) -> None:
        """Enlarge what became too small, on all ranks alike, and do the window once more."""
        halted = int(state["halted"])
        need = Room(*(int(state[f"need_{name}"]) for name in Room._fields))
        self._reserve(enlarged(self._room, halted, need))
        self.device.upload()
        self.device.begin(0, again=True)

    def now(self) -> float:
        """Model time or steps at the end of the last window."""
        return self._now

    def go_on(self, position: Position) -> None:
        """Go on from where an earlier chain stood; its states were given at construction."""
        self.windows, self.replays = position.windows, position.replays
        self.applies = position.applies
        self._set_clock(
            position.clock, windows=position.windows, replays=position.replays,
            applies=position.applies, transitions=position.transitions, last=position.last,
            digest=position.total,
        )  # fmt: skip

    def position(self, recorder: Recorder) -> Position:
        """Where this chain would be resumed, on all ranks: the start of a window."""
        state = self._settled()
        inside = bool(state["finished"] and (state["cut"] or self._race))
        left = "left_" if inside or state["record"] else ""
        return Position(
            states=self.ranks.gather(self.device.states(before=inside or self._race)).copy(),
            clock=_clock(state, left),
            windows=int(state[left + "windows"]),
            replays=int(state[left + "replays"]),
            applies=int(state[left + "applies"]),
            transitions=int(state[left + "transitions"]),
            last=float(state[left + "last"]),
            total=int(state[left + "digest"]),
        )

    def network_digest(self) -> str:
        """The digest of the weights and biases that are simulated: the same for any ranks."""
        return self.shard.digest(self.ranks)

    def final(self) -> NDArray[np.uint8]:
        """The state of all neurons at the end; where it was stopped, at the window's start."""
        state = self._settled()
        before = self._race and not state["finished"]
        return self.ranks.gather(self.device.states(before=before))

    def consistent(self, final: NDArray[np.uint8]) -> bool:
        """Whether z == W x + b holds exactly on every rank."""
        state = self._settled()
        z = self._responses(state)
        states = self.ranks.gather(self.device.states())
        return self.ranks.minimum(int(np.array_equal(z, self.shard.responses(states)))) == 1

    def _responses(self, state: Any) -> NDArray[Any]:
        """z of this rank's neurons, int[n], for the states on the device."""
        closed = not self._race and state["record"]  # the window's z is ahead of x then
        return self.device.responses(int(state["current"]) ^ int(closed))

    def close(self) -> None:
        """Give the GPU's memory back, on all ranks alike; none exchanges any more."""
        self._settled()
        self.ranks.barrier()
        self.device.peers.close()
        self.ranks.barrier()
        self._held.close()

    def abandon(self) -> None:
        """Give the GPU's memory back after a failure, without the other ranks.

        Where there are any they may still write here, and a kernel may wait for them: then the end
        of the process does it.
        """
        if self.ranks.size == 1:
            with suppress(Exception):  # of a GPU that failed: why it did is on its way already
                self._held.close()


def _clock(state: Any, left: str = "") -> Clock:
    """The law's clock on the device; left: `left_`, at the start of the last window."""
    return Clock(
        number=int(state[left + "number"]),
        high=float(state[left + "high"]),
        low=float(state[left + "low"]),
        exponent=int(state[left + "exponent"]) if state["started"] else None,
    )
