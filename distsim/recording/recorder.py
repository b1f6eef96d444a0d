"""What happened: takes each window's events, ends the run at its length, keeps digest and file."""

from time import monotonic

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.record import unpack
from distsim.recording.sinks import Sink

BLOCK = 1 << 16  # events that wait for the sink at most,
PATIENCE = 10.0  # and seconds that they wait

# Events as a user sees them: time: float64[K], neuron: int64[K], state: uint8[K]; doubled:
# int64[K], by how much each changes 2 E in weight units, int64[0] where energies are not wanted.
Columns = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]


class Recorder:
    """Counts events up to the run's length, keeps the digest, fills the root's sink.

    transitions, until: the run's length in events, or in time (MPM) or steps (BM).
    """

    def __init__(self, transitions: int | None, until: float | None, sink: Sink | None) -> None:
        self.limit = transitions
        self.until = until
        self.sink = sink
        self.transitions = 0
        self.last = 0.0  # time of the last event
        self.total = 0  # the events' part of the digest
        self._waiting = 0
        self._flushed = monotonic()
        self._time = np.empty(BLOCK)
        self._neuron = np.empty(BLOCK, np.int64)
        self._state = np.empty(BLOCK, np.uint8)

    def go_on(self, transitions: int, last: float, total: int) -> None:
        """After the events of an earlier run."""
        self.transitions, self.last, self.total = transitions, last, total

    def belonging(self, times: NDArray[np.float64]) -> int:
        """How many of a window's events belong to the run."""
        kept = times.size
        if self.until is not None:
            kept = int(np.searchsorted(times, self.until, side="right"))
        if self.limit is not None:
            kept = min(kept, self.limit - self.transitions)
        return kept

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

    def record(self, times: NDArray[np.float64], events: NDArray[np.uint64]) -> None:
        """Take a window's events, already cut to what belongs to the run."""
        start = 0
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
        columns: Columns | None,
        transitions: int,
        last: float,
        total: int,
    ) -> None:
        """Events that a device has cut to the run, counted and summed up, and perhaps kept.

        columns: of those since the last call, or None; the rest is the whole run's, as in `go_on`.
        """
        if self.sink is not None and columns is not None:
            time, neuron, state, _ = columns
            self.sink.append(time, neuron, state)
        self.go_on(transitions, last, total)

    def flush(self) -> None:
        """Hand over what waits."""
        if self.sink is not None and self._waiting:
            k = self._waiting
            self.sink.append(self._time[:k], self._neuron[:k], self._state[:k])
        self._waiting = 0
        self._flushed = monotonic()
