"""Ranks that are threads of one process: the contract of `ranks.communicator`, for tests."""

import signal
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.ranks.communicator import Communicator, Serial

T = TypeVar("T")


class ThreadRanks:
    """One of `size` ranks that meet at a barrier."""

    library = "threads"

    def __init__(self, rank: int, board: list[Any], meeting: threading.Barrier) -> None:
        self.rank, self.size = rank, len(board)
        self._board, self._meeting = board, meeting

    def _all(self, mine: T) -> list[T]:
        """What every rank gives, by rank."""
        self._board[self.rank] = mine
        self._meeting.wait()
        found = list(self._board)
        self._meeting.wait()
        return found

    def minimum(self, word: int) -> int:
        return min(self._all(int(word)))

    def maximum(self, number: int) -> int:
        return max(self._all(int(number)))

    def largest(self, value: float) -> float:
        return max(self._all(value))

    def total(self, number: int) -> int:
        return sum(self._all(number))

    def exchange(
        self, words: NDArray[np.uint64], stop: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]:
        parts = self._all((words.copy(), int(stop)))
        counts = np.array([part.size for part, _ in parts])
        room = np.zeros((self.size, 2 + max(1, counts.max())), np.uint64)
        rows = room[:, 2:]  # laid out as MPI's
        for row, (part, _) in zip(rows, parts, strict=True):
            row[: part.size] = part
        return rows, counts, min(stop for _, stop in parts)

    def gather(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.concatenate(self._all(states.copy()))

    def agree(self, error: str | None) -> None:
        errors = [one for one in self._all(error) if one is not None]
        if errors:
            raise InputError(errors[0])

    def here(self) -> tuple[int, int]:
        return self.rank, self.size

    def side_by_side(self) -> bool:
        return False  # tests that want them to walk say so

    def share(self, words: int) -> NDArray[np.uint64]:
        memory: NDArray[np.uint64] = self._all(Serial().share(words))[0]
        return memory

    def groups(self, size: int) -> "ThreadRanks":
        mine = [None] * size, threading.Barrier(size, timeout=120)
        board, meeting = self._all(mine)[self.rank // size * size]
        return ThreadRanks(self.rank % size, board, meeting)

    def barrier(self) -> None:
        self._meeting.wait()

    def abort(self, status: int) -> NoReturn:
        self._meeting.abort()
        raise SystemExit(status)


def on_ranks(size: int, action: Callable[[Communicator], T]) -> list[T]:
    """What `action` returns on each of so many ranks; the first error of one is raised."""
    board: list[Any] = [None] * size
    meeting = threading.Barrier(size, timeout=120)
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def act(rank: int) -> None:
        try:
            results[rank] = action(ThreadRanks(rank, board, meeting))
        except BaseException as error:
            errors.append(error)
            meeting.abort()

    threads = [threading.Thread(target=act, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[rank] for rank in range(size)]


def on(size: int, action: Callable[[Communicator], T]) -> T:
    """What `action` returns on the root of so many ranks."""
    return action(Serial()) if size == 1 else on_ranks(size, action)[0]


class Moment:
    """A signal that is there at so manieth look."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    @property
    def received(self) -> int:
        self._looks -= 1
        return signal.SIGTERM if self._looks <= 0 else 0
