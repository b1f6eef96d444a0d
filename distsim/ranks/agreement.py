"""What all ranks do alike: errors that any of them met, what one of them read, when they stop.

A signal reaches one rank, or several at different moments; a full disk is seen by the root alone.
So each rank has a wish, and now and then all take the strongest one: one all-reduce every so many
windows, about ten times a second whatever a window costs. Groups of ranks that have chains of their
own make different numbers of windows in between.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic
from typing import TypeVar

import numpy as np

from distsim.errors import InputError, OutputError
from distsim.ranks.communicator import Communicator

_EVERY = 0.1  # seconds between two decisions,
_EVERY_OF_GROUPS = 0.5  # and where groups wait for each other, whose stretches take 0.05 s
_BITS = 30  # of the number of windows until the next one, at most
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


class Decisions:
    """Has all ranks take the same decision: those that make windows together at the same window."""

    def __init__(self, ranks: Communicator, group: Communicator | None = None) -> None:
        """group: those that make windows with this rank; all do without one."""
        self._ranks = ranks
        self._group = ranks if group is None else group
        self._windows = self._left = 1
        self._moment = monotonic()

    def after_window(self, wish: Callable[[], tuple[Wish, int]]) -> Decision:
        """The decision after this window. `wish` gives this rank's, and a signal or 0."""
        return self.decide(wish) if self.due() else _GO_ON

    def due(self) -> bool:
        """Counts a window; whether all decide after it."""
        self._left -= 1
        return self._left == 0

    def decide(self, wish: Callable[[], tuple[Wish, int]]) -> Decision:
        """The decision of all ranks.

        A word for the maximum over them: wish, signal, rank; how few windows to wait is for the
        group alone.
        """
        alone = self._group is self._ranks
        every = _EVERY if alone else _EVERY_OF_GROUPS
        pace = every / max(monotonic() - self._moment, 1e-6)
        windows = max(1, min(int(self._windows * min(pace, 4.0)), _MOST))
        mine, number = wish()
        head = ((mine << 7 | number) << 24 | self._ranks.rank) if mine else 0
        if alone:
            word = self._ranks.maximum(head << _BITS | (_MOST - windows))
            head, few = word >> _BITS, word & _MOST
        else:
            head, few = self._ranks.maximum(head), self._group.maximum(_MOST - windows)
        self._windows = self._left = _MOST - few
        self._moment = monotonic()  # who waited for others was not slow
        return Decision(Wish(head >> 31), head & 0xFFFFFF, head >> 24 & 127)


T = TypeVar("T")


def agreed(
    ranks: Communicator,
    action: Callable[[], T],
    kind: type[InputError | OutputError] = InputError,
) -> T:
    """What `action` returns on this rank; an error of this kind is raised on every rank alike.

    So is what a rank lacks: memory, or files that it may open.
    """
    error = None
    try:
        result = action()
    except kind as bad:
        error = str(bad)
    except MemoryError as lack:
        error = (
            f"memory: too little on rank {ranks.rank} ({str(lack) or 'of this process'}); allowed: "
            "a smaller network, weights of fewer bits, more ranks, or a higher limit (ulimit -v)"
        )
    except OSError as lack:
        if lack.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        error = f"rank {ranks.rank}: {lack.strerror}; allowed: a higher limit (ulimit -n)"
    try:
        ranks.agree(error)
    except InputError as failed:
        raise kind(str(failed)) from None
    return result


def broadcast(ranks: Communicator, data: bytes) -> bytes:
    """The root's bytes, on every rank; what the others give is ignored."""
    mine = data if ranks.rank == 0 else b""
    return ranks.gather(np.frombuffer(mine, np.uint8)).tobytes()


def gathered(ranks: Communicator, part: bytes) -> list[bytes]:
    """The same number of bytes of every rank, by rank."""
    whole = ranks.gather(np.frombuffer(part, np.uint8)).tobytes()
    return [whole[k : k + len(part)] for k in range(0, len(whole), len(part))]
