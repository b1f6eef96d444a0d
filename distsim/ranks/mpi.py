"""The ranks by MPI: the only module that knows mpi4py."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from time import sleep
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError

_CORES = 8192  # a host's, at most
_LAST_WORDS = 0.25  # seconds in which a launcher passes on what was printed before an abort


class Mpi:
    """The ranks of MPI's world, or a group of them, by the host's memory and network.

    Only MPI's buffer calls are used: the first lower-case collective of mpi4py holds Python's
    global lock while it blocks, and then no watchdog could end the rank.
    """

    def __init__(self, group: Any = None, roomy: bool | None = None) -> None:
        """group: an MPI communicator; the world without one. roomy: whether the world's hosts have
        a core a rank, where that is known."""
        from mpi4py import MPI

        self._mpi = MPI
        self._world = MPI.COMM_WORLD if group is None else group
        self.rank: int = self._world.Get_rank()
        self.size: int = self._world.Get_size()
        self.library: str = MPI.Get_library_version().splitlines()[0].strip()
        self._word = np.zeros(2, np.uint64)
        self._number = np.zeros(2, np.int64)
        self._value = np.zeros(2, np.float64)
        self._resize(64)
        self._roomy = roomy
        self._memory = np.zeros(0, np.uint64)  # that all ranks see
        self._groups: dict[int, Mpi] = {}  # kept: a library has room for some thousands only

    def _resize(self, capacity: int) -> None:
        self._send = np.zeros(2 + capacity, np.uint64)
        self._receive = np.zeros((self.size, 2 + capacity), np.uint64)

    def _reduce(self, buffer: NDArray[Any], value: float, operation: Any) -> Any:
        buffer[0] = value
        self._world.Allreduce(buffer[:1], buffer[1:], op=operation)
        return buffer[1]

    def minimum(self, word: int) -> int:
        return int(self._reduce(self._word, word, self._mpi.MIN))

    def maximum(self, number: int) -> int:
        return int(self._reduce(self._number, number, self._mpi.MAX))

    def largest(self, value: float) -> float:
        return float(self._reduce(self._value, value, self._mpi.MAX))

    def total(self, number: int) -> int:
        words = np.array([number >> 63, number & (2**63 - 1)], np.int64)
        parts = self.exchange(words.view(np.uint64), 0)[0][:, :2].view(np.int64).tolist()
        return sum((high << 63) + low for high, low in parts)

    def exchange(
        self, words: NDArray[np.uint64], stop: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]:
        while True:
            capacity = self._send.size - 2
            kept = min(words.size, capacity)
            self._send[0] = words.size
            self._send[1] = stop
            self._send[2 : 2 + kept] = words[:kept]
            self._world.Allgather(self._send, self._receive)
            counts, stops = self._receive[:, :2].T.tolist()  # lists: few, and faster than arrays
            if max(counts) <= capacity:
                return self._receive[:, 2:], np.array(counts), min(stops)
            self._resize(2 * max(counts))  # every rank sees the same counts: all agree

    def gather(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        counts = self.exchange(np.array([states.size], np.uint64), 0)[0][:, 0].astype(int)
        gathered = np.empty(counts.sum(), np.uint8)
        self._world.Allgatherv(states, (gathered, counts))
        return gathered

    def agree(self, error: str | None) -> None:
        failed = self.minimum(self.size if error is None else self.rank)
        if failed == self.size:
            return
        text = (error or "").encode() if self.rank == failed else b""
        raise InputError(self.gather(np.frombuffer(text, np.uint8)).tobytes().decode())

    def here(self) -> tuple[int, int]:
        host = self._world.Split_type(self._mpi.COMM_TYPE_SHARED)
        place = host.Get_rank(), host.Get_size()
        host.Free()
        return place

    def side_by_side(self) -> bool:
        return self.here()[1] == self.size and self._cores_suffice()

    def _cores_suffice(self) -> bool:
        """Whether each host of this world, of which a group has a part, has a core a rank."""
        if self._roomy is None:
            host = self._world.Split_type(self._mpi.COMM_TYPE_SHARED)
            may_use = np.zeros((host.Get_size(), _CORES), np.uint8)
            mine = np.zeros(_CORES, np.uint8)
            mine[[core % _CORES for core in _cores()]] = 1
            host.Allgather(mine, may_use)
            host.Free()
            suffice = may_use.any(axis=0).sum() >= len(may_use)
            self._roomy = self.minimum(int(suffice)) == 1
        return self._roomy

    def share(self, words: int) -> NDArray[np.uint64]:
        if self._memory.size < words:  # on every rank alike; who has the old one keeps it
            size = 2 * 8 * words
            root = self.rank == 0
            window = self._mpi.Win.Allocate_shared(size if root else 0, 1, comm=self._world)
            shared: Any = window.Shared_query(0)[0]
            self._memory = np.frombuffer(shared, np.uint64)
            if root:
                self._memory[:] = 0
            self.barrier()
        return self._memory[:words]

    def groups(self, size: int) -> Mpi:
        if size not in self._groups:
            self._groups[size] = Mpi(
                self._world.Split(self.rank // size, self.rank), roomy=self._cores_suffice()
            )
        return self._groups[size]

    def barrier(self) -> None:
        self._world.Barrier()

    def abort(self, status: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        sleep(_LAST_WORDS)
        self._world.Abort(status)
        os._exit(status)


def _cores() -> Iterable[int]:
    """Those on which this process may run."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on Linux
        return range(os.cpu_count() or 1)
