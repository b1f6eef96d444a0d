"""Stops: signals, seen at once, and what all ranks agree to do at the same window.

A signal reaches one rank, or several at different moments; a full disk is seen by the root alone.
So each rank has a wish, and now and then all take the strongest one: one all-reduce every so many
windows, about ten times a second whatever a window costs.
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic
from types import FrameType, TracebackType

from distsim.communicator import Communicator

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_SAME = 0.5  # seconds in which a launcher and a terminal may both pass on one signal
_EVERY = 0.1  # seconds between two agreements
_BITS = 30  # of the number of windows until the next agreement, at most
_MOST = (1 << _BITS) - 1


class Wish(IntEnum):
    """What a rank would do next, from weak to strong."""

    GO_ON = 0
    SAVE = 1
    STOP = 2
    FAIL = 3  # the output or a checkpoint could not be written


@dataclass(frozen=True)
class Decision:
    """What all ranks do next; who had the wish, and the signal that it came from, if any."""

    wish: Wish
    rank: int = 0
    signal: int = 0


_GO_ON = Decision(Wish.GO_ON)


class Agreement:
    """Has all ranks take the same decision at the same window."""

    def __init__(self, ranks: Communicator) -> None:
        self._ranks = ranks
        self._windows = self._left = 1
        self._moment = monotonic()

    def reach(self, wish: Callable[[], tuple[Wish, int]]) -> Decision:
        """The decision after this window. `wish` gives this rank's, and a signal or 0.

        A word for the maximum over the ranks: wish, signal, rank, and how few windows to wait.
        """
        self._left -= 1
        if self._left:
            return _GO_ON
        now = monotonic()
        pace = _EVERY / max(now - self._moment, 1e-6)
        self._moment = now
        windows = max(1, min(int(self._windows * min(pace, 4.0)), _MOST))
        mine, number = wish()
        head = ((mine << 7 | number) << 24 | self._ranks.rank) if mine else 0
        word = self._ranks.maximum(head << _BITS | (_MOST - windows))
        head = word >> _BITS
        self._windows = self._left = _MOST - (word & _MOST)
        return Decision(Wish(head >> 31), head & 0xFFFFFF, head >> 24 & 127)


class Signals:
    """SIGTERM, SIGINT and SIGUSR1 ask for a stop; a second one leaves at once.

    Python's handlers wait until a blocking call returns; a thread that reads the wakeup file does
    not. To be entered in the main thread, after MPI has started. `leave` gets the exit status.
    """

    def __init__(self, leave: Callable[[int], object]) -> None:
        self.received = 0  # the first signal
        self._leave = leave

    def __enter__(self) -> "Signals":
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = {number: signal.signal(number, _nothing) for number in SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writer)  # the thread reads the end
        self._thread.join()
        os.close(self._reader)

    def _listen(self) -> None:
        first = 0.0
        while number := os.read(self._reader, 1):
            if number[0] not in SIGNALS:
                continue
            if not self.received:
                self.received, first = number[0], monotonic()
            elif monotonic() - first > _SAME:
                self._leave(128 + number[0])


def ignore() -> None:
    """The process ends with the status it has: a late signal has nothing to stop."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler in Python, so that the signal's number is written to the wakeup file."""
