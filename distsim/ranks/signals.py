"""Signals that ask for a stop, seen at once."""

import os
import signal
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType, TracebackType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_SAME = 0.5  # seconds in which a launcher and a terminal may both pass on one signal


_interrupts: list[int] = []


def interrupt(number: int, frame: FrameType | None) -> None:
    """A handler for what is done before `Signals`: KeyboardInterrupt, which does not get lost.

    What an interrupt meets while modules are loaded may ignore all exceptions.
    """
    _interrupts.append(number)
    raise KeyboardInterrupt


class Signals:
    """SIGTERM, SIGINT and SIGUSR1 ask for a stop; a second one leaves at once.

    Python's handlers wait until a blocking call returns; a thread that reads the wakeup file does
    not. To be entered in the main thread, after MPI has started. `leave` gets the exit status.
    Raises KeyboardInterrupt for an `interrupt` before.
    """

    def __init__(self, leave: Callable[[int], object]) -> None:
        self.received = 0  # the first signal
        self._leave = leave

    def __enter__(self) -> "Signals":
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # In this order: there is no moment at which a signal goes to no one.
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()
        self._before = {number: signal.signal(number, _nothing) for number in SIGNALS}
        if _interrupts:
            raise KeyboardInterrupt
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
