"""Ctrl-C in a program: once it ends the run and keeps what there is, twice it ends the program's
work."""

import signal
import threading
from time import monotonic
from types import FrameType, TracebackType

STOPPED = "SIGINT"  # what Summary.stopped says of a run that Ctrl-C has ended
AGAIN = 1.0  # seconds in which a second Ctrl-C belongs to the first, even if another run has begun
SAME = 0.3  # and in which a launcher may pass the same one on twice, on several ranks

_last = -AGAIN  # when the last one came


class Interrupts:
    """Meanwhile Ctrl-C is noted; a second one raises KeyboardInterrupt at once.

    In the main thread alone, which gets signals, and not where a program has a handler of its own.
    launched: a launcher passes signals on.
    """

    def __init__(self, *, launched: bool = False) -> None:
        self.received = False
        self._launched = launched
        self._here = False

    def __enter__(self) -> "Interrupts":
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._here = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._here:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        global _last
        now = monotonic()
        since, _last = now - _last, now
        if self._launched and self.received and since < SAME:
            return
        if self.received or since < AGAIN:
            raise KeyboardInterrupt
        self.received = True
