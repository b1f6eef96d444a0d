"""No hangs: a thread that ends all ranks when this one makes no progress.

A rank that dies or stalls leaves the others waiting in a collective for ever. Each rank watches
itself only: those that wait are the ones that end the run.
"""

import sys
import threading
from collections.abc import Callable
from types import TracebackType

from distsim.communicator import Communicator

FAILED = 1  # exit status
_LOOKS = 20  # in the allowed time
_FIRST = 10  # times the allowed time for the first window, which may compile kernels
_OTHERS = 0.5  # seconds in which the other ranks that wait may say so too


class Watchdog:
    """Ends all ranks after so many seconds in which `progress` gives the same value.

    Counts the looks, not the time: a machine that slept, or a rank that was itself stopped, has
    not waited. phase: says what this rank has last done.
    """

    def __init__(
        self,
        seconds: float,
        ranks: Communicator,
        progress: Callable[[], object],
        doing: Callable[[], str],
    ) -> None:
        self._seconds = seconds
        self._ranks = ranks
        self._progress = progress
        self._doing = doing
        self._limit = _FIRST * (_LOOKS - 2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def begun(self) -> None:
        """The first window is done: from now on the allowed time holds."""
        self._limit = _LOOKS - 2  # so that all is over when the allowed time is

    def over(self) -> None:
        """The last window is done."""
        self._over.set()

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over()
        self._thread.join()

    def _watch(self) -> None:
        seen: object = None
        looks = 0
        while not self._over.wait(self._seconds / _LOOKS):
            now = self._progress()
            looks = looks + 1 if now == seen else 0
            seen = now
            if looks >= self._limit:
                self._end(looks * self._seconds / _LOOKS)

    def _end(self, waited: float) -> None:
        ranks = self._ranks
        print(
            f"distsim: rank {ranks.rank} of {ranks.size} has made no progress for {waited:.3g} s, "
            f"{self._doing()}: this rank stalls, or waits for one that stalls or died and does not "
            "say so; ending all ranks (--watchdog)",
            file=sys.stderr,
            flush=True,
        )
        if not self._over.wait(min(_OTHERS, self._seconds / _LOOKS)):
            ranks.abort(FAILED)
