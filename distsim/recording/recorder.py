"""What happened: takes each window's events, ends the run at its length, keeps digest and file."""

from time import monotonic

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.observe import Block
from distsim.kernels.record import unpack
from distsim.recording.observation import Observation
from distsim.recording.sinks import Sink

NOTHING = np.empty(0, np.int64)
BLOCK = 1 << 16  # events that wait for the sink at most,
PATIENCE = 10.0  # and seconds that they wait
_ANY = 1 << 62  # more events than a run has


class Recorder:
    """Counts events up to the run's length, keeps the digest, fills the root's sink, has the
    root's observation take them.

    transitions, until: the run's length in events, or in time (MPM) or steps (BM). look: events
    after which somebody wants to look at the run, at the end of a window.
    """

    def __init__(
        self,
        transitions: int | None,
        until: float | None,
        sink: Sink | None = None,
        observation: Observation | None = None,
        look: int | None = None,
    ) -> None:
        self.limit = transitions
        self.look = look
        self.until = until
        self.sink = sink
        self.observation = observation
        self.transitions = 0
        self.last = 0.0  # time of the last event
        self.total = 0  # the events' part of the digest
        self._waiting = 0
        self._energies = False
        self._flushed = monotonic()
        self._room(0)

    def _room(self, events: int) -> None:
        self._time = np.empty(events)
        self._neuron = np.empty(events, np.int64)
        self._state = np.empty(events, np.uint8)
        self._doubled = np.empty(events, np.int64)

    def go_on(self, transitions: int, last: float, total: int) -> None:
        """After the events of an earlier run."""
        self.transitions, self.last, self.total = transitions, last, total

    @property
    def wants_events(self) -> bool:
        """Whether this rank has a use for each event, besides its count and digest."""
        return self.sink is not None or self.observation is not None

    def belonging(self, times: NDArray[np.float64]) -> int:
        """How many of a window's events belong to the run."""
        kept = times.size
        if self.until is not None:
            kept = int(np.searchsorted(times, self.until, side="right"))
        if self.limit is not None:
            kept = min(kept, self.limit - self.transitions)
        return kept

    def ahead(self) -> int:
        """Events after which the chain is to be looked at, or the run is over."""
        left = _ANY if self.limit is None else self.limit - self.transitions
        return left if self.look is None else min(left, self.look)

    def finished(self, now: float) -> bool:
        """Whether the run's length is reached, when all before time `now` is recorded."""
        if self.limit is not None:
            return self.transitions == self.limit
        return self.until is not None and now >= self.until

    def fraction(self, now: float) -> float:
        """How much of the run's length is done."""
        if self.limit is not None:
            return self.transitions / self.limit
        return min(1.0, now / self.until) if self.until else 0.0

    def record(
        self,
        times: NDArray[np.float64],
        events: NDArray[np.uint64],
        doubled: NDArray[np.int64] = NOTHING,
    ) -> None:
        """Take a window's events, already cut to what belongs to the run; doubled: by how much each
        changes 2 E, or nothing."""
        start = 0
        if events.size and not self._time.size:  # many chains have recorders that have none
            self._room(BLOCK)
        while start < events.size:
            # Blocks end at multiples of BLOCK, where chunks of the file do.
            stop = min(events.size, start + BLOCK - self.transitions % BLOCK)
            self.total += unpack(
                events[start:stop],
                times[start:stop],
                self.transitions,
                self._waiting,
                self._time,
                self._neuron,
                self._state,
            )
            if doubled.size:
                self._doubled[self._waiting : self._waiting + stop - start] = doubled[start:stop]
            self._energies = doubled.size > 0
            self.transitions += stop - start
            self._waiting += stop - start
            self.last = float(times[stop - 1])
            start = stop
            if self.transitions % BLOCK == 0:
                self.flush()
        if monotonic() - self._flushed > PATIENCE:
            self.flush()

    def take_over(
        self,
        columns: Block | None,
        transitions: int,
        last: float,
        total: int,
    ) -> None:
        """Events that a device has cut to the run, counted and summed up, and perhaps kept.

        columns: those since the last call, or None; the rest is the whole run's, as in `go_on`.
        """
        if columns is not None:
            self._hand_over(columns, self.transitions)
        self.go_on(transitions, last, total)

    def flush(self) -> None:
        """Hand over what waits."""
        k = self._waiting
        if k:
            doubled = self._doubled[: k * self._energies]
            block = Block(self._time[:k], self._neuron[:k], self._state[:k], doubled)
            self._hand_over(block, self.transitions - k)
        self._waiting = 0
        self._flushed = monotonic()

    def end(self, *, over: bool) -> None:
        """Hand over what waits; over: the run has its length, so observables go to its end."""
        self.flush()
        if over and self.observation is not None and self.until is not None:
            self.observation.end(self.until)

    def _hand_over(self, block: Block, before: int) -> None:
        if self.sink is not None:
            self.sink.append(block.time, block.neuron, block.state)
        if self.observation is not None:
            self.observation.take(block, before)
