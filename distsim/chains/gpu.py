"""A chain on GPUs, one rank a GPU, the host out of the loop: the twin of `simulation.Chain`.

A round is a fixed sequence of kernels and one exchange; a state on the device (which window, what
is next, how many events so far) lets each round do the right thing: window rule, clock, digest and
the run's end included. The host launches many rounds at once, looks at the state now and then,
takes recorded events from a ring, and enlarges what became too small. Every decision here follows
from states that are the same on all ranks, so that all ranks launch the same.

Two exchanges: NCCL's collectives between the kernels of a CUDA graph, or peer memory inside one
resident kernel (one rank needs none and takes the resident kernel).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.engines.timer import Timer
from distsim.errors import InputError
from distsim.gpu import capacity
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import free_memory, free_unused
from distsim.gpu.launcher import (
    AT_REST,
    EVENTS,
    LOST_RANK,
    MOST_RANKS,
    PEERS,
    SLOTS,
    STAGES,
    TICKETS,
    Device,
)
from distsim.gpu.layout import HEADER
from distsim.laws.law import Clock
from distsim.laws.mcculloch_pitts import at_rest, check_temperature
from distsim.laws.window import CAP_BITS, LARGEST_TARGET, START_BITS, target_events
from distsim.ranks.agreement import gathered
from distsim.ranks.communicator import Communicator
from distsim.ranks.nccl import Nccl, connect_gpus
from distsim.recording.recorder import Recorder
from distsim.weights.shard import load
from distsim.weights.source import Network

# In standard deviations of z's change in a window: how far tickets are drawn, and how near to its
# threshold z must start for a ticket to be decided by the events, not by the start.
_MARGIN, _GUARD = 3.25, 4.25
_WIDEST = 3.0  # but no more than a factor of e^3 in a rate
_RING = 1 << 21  # recorded events that wait for the host
_GRAPH_ROUNDS = 32
_LIMIT = 2**62
_PATIENCE = 11e9  # of a kernel that waits for other ranks, in watchdogs: longer than any of these


class DeviceChain:
    """A network in motion on the GPU that this rank has taken (`take_gpu`)."""

    place = "gpu"

    def __init__(
        self,
        network: Network,
        config: Config,
        ranks: Communicator,
        states: NDArray[np.uint8],
    ) -> None:
        """`states`: of all neurons at the start, uint8[N]."""
        self.config = config
        self.ranks = ranks
        self.timer = Timer()
        self.initial = states
        self.windows = self.replays = self.applies = 0
        self._now = 0.0
        self._taken = 0  # recorded events that the sink has
        self._rounds = 64
        self._nccl: Nccl | None = None
        self._begun = False
        self._running = False
        self._state: Any = None  # as last looked at
        self._choose_exchange()
        self._check_memory(network)
        self.shard = load(network, config.weight_bits, ranks, DeviceColumns)
        if config.model == "mpm":
            check_temperature(self.shard, config.tau)
        self._build()

    # ------------------------------------------------------------------------------------- set-up
    def _choose_exchange(self) -> None:
        """NCCL or peer memory. Raises InputError for what was asked and cannot be."""
        ranks, here = self.ranks, self.ranks.here()[1]
        wish, race = self.config.exchange, self.config.engine == "race"
        if ranks.size > MOST_RANKS and not race:
            raise InputError(
                f"{ranks.size} ranks on GPUs given; allowed: up to {MOST_RANKS} for relax"
            )
        together = ranks.minimum(here) == ranks.size <= PEERS
        if wish == "peer" and (race or not together):
            raise InputError(
                f"exchange peer given for engine {self.config.engine} and {ranks.size} ranks; "
                f"allowed: nccl, or peer for relax on one host with up to {PEERS} GPUs"
            )
        peers = together and not race and wish != "nccl"
        self.exchange: str | None = "peer" if peers else "nccl"

    def _check_memory(self, network: Network) -> None:
        """Refuse a network that does not fit, before anything is allocated."""
        neurons, bits, size = network.neurons, self.config.weight_bits, self.ranks.size
        window = self.config.window or LARGEST_TARGET
        wanted = capacity.bytes_on_gpu(neurons, bits, window, size)
        free = self.ranks.minimum(free_memory())
        if wanted <= free:
            return
        enough = capacity.gpus_for(neurons, bits, window, size, free)
        would = "no number of GPUs" if enough is None else f"{enough} GPUs"
        raise InputError(
            f"{network.name} of {neurons} neurons with weights of {bits} bits needs "
            f"{wanted / 2**30:.1f} GiB on each of {size} GPU(s), {free / 2**30:.1f} GiB are free; "
            f"{would} would do"
        )

    def _build(self) -> None:
        """The device's constants, buffers and first state."""
        config, ranks = self.config, self.ranks
        boltzmann = config.model == "bm"
        n = self.shard.size
        x = self.initial[self.shard.first : self.shard.first + n].copy()
        z = self.shard.responses(self.initial)
        self.target = config.window or target_events(
            self.shard.neurons, self.shard.strength, config.tau
        )
        self.device = Device(
            self.shard.storage, z, x, self.shard.rest,
            boltzmann=boltzmann, race=config.engine == "race",
            neurons=self.shard.neurons, first=self.shard.first, ranks=ranks.size, rank=ranks.rank,
            slots=-(-(5 if boltzmann else 3) * self.target // (2 * ranks.size)),
        )  # fmt: skip
        scale = (1.0 if boltzmann else 2.0) * config.tau / self.shard.unit
        deviation = self.shard.spread * math.sqrt(1.5 * self.target)  # the most the rule aims at
        slack = self.device.slack
        margin = int(min(_LIMIT, _MARGIN * deviation, _WIDEST * scale)) + slack
        guard = int(min(_LIMIT, _GUARD * deviation, _WIDEST * scale)) + slack
        self.device.set(
            seed=config.seed, scale=scale, margin=margin, guard=guard, target=self.target,
            patience=min(_LIMIT, _PATIENCE * max(config.watchdog, 60.0)),
            sequential=config.scan != "random",
            per_neuron=self.target.bit_length() - self.shard.neurons.bit_length(),
            cap_bits=CAP_BITS, start_bits=START_BITS,
        )  # fmt: skip
        events = 2 * self.target  # of all ranks; what becomes too small is enlarged
        if config.engine == "race":  # it makes no tickets, and looks at no end of its events
            events = self.shard.neurons if boltzmann else 4 * self.target
        elif ranks.size == 1:
            events = 4 * self.target
        share = -(-events // ranks.size) + 64
        tickets = 0 if config.engine == "race" else 8 * share + 4096
        self._reserve(slots=n + 1, tickets=tickets, events=share)
        if boltzmann:
            self.device.write_state(exponent=self.target.bit_length() - 1)
        top = int(np.where(x == 0, z, -z).max()) if n else -_LIMIT
        self._top = ranks.maximum(top)

    def _reserve(self, *, slots: int, tickets: int, events: int) -> None:
        self._capacity = {"slots": slots, "tickets": tickets, "events": events}
        self.device.reserve(slots, tickets, events)
        if self.ranks.size == 1:
            return
        if self.exchange == "peer":
            self._open_peers()
        if self.exchange == "nccl" and self._nccl is None:
            self._nccl = connect_gpus(self.ranks)

    def _open_peers(self) -> None:
        """Peer memory, or NCCL where it cannot be had and was not asked for."""
        error = None
        try:
            self.device.open_peers(lambda part: gathered(self.ranks, part), self.ranks.barrier)
        except Exception as bad:  # of any GPU that cannot reach another
            error = str(bad)
        if self.ranks.minimum(error is None) == 1:
            return
        if self.config.exchange == "peer":
            self.ranks.agree(error and f"exchange peer: {error}; allowed here: nccl")
        self.exchange = "nccl"

    def _begin(self, recorder: Recorder) -> None:
        """What only the recorder knows: the run's length, and whether events are wanted."""
        wanted = self.ranks.maximum(int(recorder.sink is not None)) == 1
        ring = max(_RING, 1 << (8 * self.target).bit_length()) if wanted else 0
        self.device.reserve_ring(ring, recording=recorder.sink is not None)
        self.device.set(
            limit=-1 if recorder.limit is None else recorder.limit,
            timed=recorder.until is not None, until=recorder.until or 0.0,
        )  # fmt: skip
        self.device.upload()
        self.device.begin(self._top, again=False)
        self._begun = True

    # ----------------------------------------------------------------------------------- the loop
    def advance(self, recorder: Recorder) -> None:
        """Many windows, or what of them belongs to the run; the next are launched meanwhile."""
        if not self._begun:
            self._begin(recorder)
        if not self._running:
            self._launch()
        state = self._look()
        if state["halted"] & LOST_RANK:
            raise RuntimeError(f"rank {self.ranks.rank}: waited in vain for another rank's events")
        if state["halted"]:
            self._take(state, recorder)
            self._resume(state)
            return
        if not state["finished"]:
            self._rounds = min(2 * self._rounds, 2048)
            self.device.set_tail(self._taken)
            self._launch()
        self._take(state, recorder)

    def _look(self) -> Any:
        state = self.device.look()
        self._running = False
        return state

    def _take(self, state: Any, recorder: Recorder) -> None:
        """What the device has recorded up to a look, while it goes on."""
        head = int(state["ring_head"])
        if recorder.sink is not None and head > self._taken:
            entries = self.device.recorded(self._taken, head)
            who = entries[:, 1]
            recorder.sink.append(
                np.ascontiguousarray(entries[:, 0]).view(np.float64),
                (who >> np.uint64(1)).astype(np.int64),
                (who & np.uint64(1)).astype(np.uint8),
            )
        self._taken = head
        recorder.transitions = int(state["transitions"])
        recorder.total = int(state["digest"])
        recorder.last = float(state["last"])
        # The clock of a window moves before its events are recorded: say what is recorded.
        self._now = float(state["record_high"] if state["record"] else state["high"])
        self.windows = int(state["windows"])
        self.replays = int(state["replays"])
        self.applies = int(state["applies"])
        self._state, self._recorder = state, recorder
        self.timer.stamp("look")
        self.timer.phases = {
            stage: spent * 1e-9
            for stage, spent in zip(STAGES, state["spent"].tolist(), strict=True)
            if spent
        }

    def _rest(self) -> Any:
        """The state when all that was launched is done and taken."""
        if self._running:
            self._take(self._look(), self._recorder)
        return self.device.look() if self._state is None else self._state

    def _launch(self) -> None:
        if self.exchange == "peer":
            self.device.run_resident(self._rounds)
        else:
            if not self.device.captured:
                self.device.capture(_GRAPH_ROUNDS, self._collective())
            self.device.replay_graph(max(1, self._rounds // _GRAPH_ROUNDS))
        self._running = True

    def _collective(self) -> Callable[[int, int, int], None] | None:
        """What ranks exchange in a round, from and to device memory, on a stream."""
        nccl = self._nccl
        if nccl is None:
            return None
        if self.config.engine == "race":
            return lambda send, receive, stream: nccl.minimum(send, receive, 2, stream)
        words = HEADER + self._capacity["events"]
        return lambda send, receive, stream: nccl.all_gather(send, receive, words, stream)

    def _resume(self, state: Any) -> None:
        """Enlarge what became too small, on all ranks alike, and do the window once more."""
        halted = int(state["halted"])
        if halted & AT_REST:
            raise at_rest(float(state["octaves"]))
        capacity = dict(self._capacity)
        for name, bit in (
            ("slots", SLOTS), ("tickets", TICKETS), ("events", EVENTS)
        ):  # fmt: skip
            if halted & bit:
                capacity[name] = max(2 * capacity[name], int(state[f"need_{name}"]) + 64)
        self._reserve(**capacity)
        self.device.upload()
        self.device.begin(0, again=True)

    def now(self) -> float:
        """Model time or steps at the end of the last window."""
        return self._now

    def go_on(self, position: Position) -> None:
        """Go on from where an earlier chain stood; its states were given at construction."""
        clock = position.clock
        self.windows, self.replays = position.windows, position.replays
        self.applies = position.applies
        self._now = clock.high
        self.device.write_state(
            number=clock.number, high=clock.high, low=clock.low,
            started=clock.exponent is not None, exponent=clock.exponent or 0,
            windows=position.windows, replays=position.replays,
            applies=position.applies, transitions=position.transitions, last=position.last,
            digest=position.total, record_high=self._now,
        )  # fmt: skip

    def position(self, recorder: Recorder) -> Position:
        """Where this chain would be resumed, on all ranks: the start of a window."""
        state = self._rest()
        race = self.config.engine == "race"
        inside = bool(state["finished"] and (state["cut"] or race))
        left = "left_" if inside or state["record"] else ""
        clock = Clock(
            number=int(state[left + "number"]),
            high=float(state[left + "high"]),
            low=float(state[left + "low"]),
            exponent=int(state[left + "exponent"]),
        )
        return Position(
            states=self.ranks.gather(self.device.states(before=inside or race)).copy(),
            clock=clock,
            windows=int(state[left + "windows"]),
            replays=int(state[left + "replays"]),
            applies=int(state[left + "applies"]),
            transitions=int(state[left + "transitions"]),
            last=float(state[left + "last"]),
            total=int(state[left + "digest"]),
        )

    def connections(self) -> tuple[int, int]:
        """How many weights are not zero as simulated, and how many neurons have none."""
        return self.shard.connections(self.ranks)

    def network_digest(self) -> str:
        """The digest of the weights and biases that are simulated: the same for any ranks."""
        return self.shard.digest(self.ranks)

    def final(self) -> NDArray[np.uint8]:
        """The state of all neurons at the end; where it was stopped, at the window's start."""
        state = self._rest()
        before = self.config.engine == "race" and not state["finished"]
        return self.ranks.gather(self.device.states(before=before))

    def consistent(self, final: NDArray[np.uint8]) -> bool:
        """Whether z == W x + b holds exactly on every rank."""
        state = self._rest()
        closed = self.config.engine == "relax" and state["record"]  # z is ahead of x then
        z = self.device.responses(int(state["current"]) ^ int(closed))
        states = self.ranks.gather(self.device.states())
        return self.ranks.minimum(int(np.array_equal(z, self.shard.responses(states)))) == 1

    def close(self) -> None:
        """Give the GPU's memory back, on all ranks alike; none exchanges any more."""
        self._rest()
        self.ranks.barrier()
        self.device.close_peers()
        self.ranks.barrier()
        del self.device, self.shard
        free_unused()
