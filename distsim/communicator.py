"""The ranks: the only module that knows MPI.

One contract, two implementations:

| member | meaning |
|---|---|
| rank, size | this rank, and how many there are; rank 0 is the root |
| library | name and version of the MPI library; "" without MPI |
| minimum(word), maximum(number) | of one unsigned word, one signed integer of 64 bits |
| largest(value) | maximum of one float |
| total(number) | exact sum of one Python integer below 2^126 over the ranks |
| exchange(words, stop) | uint64[ranks, k or more], a row a rank, until the next call; |
| | the k, int64[ranks]; the least stop |
| gather(states) | uint8[n] of every rank, concatenated in order of rank |
| agree(error) | raises InputError on every rank alike if any rank has an error message |
| here() | (rank, size) among the ranks of this host |
| barrier(), abort(status) | wait for all ranks; end all ranks at once |

Without a launcher neither MPI nor mpi4py is needed or imported.
"""

import ctypes
import os
import pickle
import sys
from collections.abc import Callable
from time import sleep
from typing import Any, NoReturn, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError, OutputError

T = TypeVar("T")

_LAST_WORDS = 0.25  # seconds in which a launcher passes on what was printed before an abort

# The number of ranks that a launcher promises, the nearest launcher first: MPICH and PMI-2,
# Open MPI, srun (which may itself have started an mpirun's helpers).
_PROMISES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


class Communicator(Protocol):
    rank: int
    size: int
    library: str

    def minimum(self, word: int) -> int: ...
    def maximum(self, number: int) -> int: ...
    def largest(self, value: float) -> float: ...
    def total(self, number: int) -> int: ...
    def exchange(
        self, words: NDArray[np.uint64], stop: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]: ...
    def gather(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
    def agree(self, error: str | None) -> None: ...
    def here(self) -> tuple[int, int]: ...
    def barrier(self) -> None: ...
    def abort(self, status: int) -> NoReturn: ...


class Serial:
    """One rank."""

    rank = 0
    size = 1
    library = ""

    def minimum(self, word: int) -> int:
        return word

    def maximum(self, number: int) -> int:
        return number

    def largest(self, value: float) -> float:
        return value

    def total(self, number: int) -> int:
        return number

    def exchange(
        self, words: NDArray[np.uint64], stop: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]:
        return words[np.newaxis], np.array([words.size]), stop

    def gather(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return states

    def agree(self, error: str | None) -> None:
        if error is not None:
            raise InputError(error)

    def here(self) -> tuple[int, int]:
        return 0, 1

    def barrier(self) -> None:
        pass

    def abort(self, status: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Mpi:
    """The ranks of MPI's world, by the host's memory and network.

    Only MPI's buffer calls are used: the first lower-case collective of mpi4py holds Python's
    global lock while it blocks, and then no watchdog could end the rank.
    """

    def __init__(self) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._world = MPI.COMM_WORLD
        self.rank: int = self._world.Get_rank()
        self.size: int = self._world.Get_size()
        self.library: str = MPI.Get_library_version().splitlines()[0].strip()
        self._word = np.zeros(2, np.uint64)
        self._number = np.zeros(2, np.int64)
        self._value = np.zeros(2, np.float64)
        self._resize(64)

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
        words = np.array([number >> 63, number & (2**63 - 1)], np.uint64)
        parts = self.exchange(words, 0)[0][:, :2].tolist()
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

    def barrier(self) -> None:
        self._world.Barrier()

    def abort(self, status: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        sleep(_LAST_WORDS)
        self._world.Abort(status)
        os._exit(status)


class Nccl:
    """The ranks' GPUs, one each, by NVIDIA's library: collectives on device memory and streams.

    NCCL's communicator is never destroyed: that is a collective too, and would hang a rank that
    leaves alone. The end of the process ends it.
    """

    def __init__(self, ranks: Communicator) -> None:
        from cupy.cuda import nccl

        self._nccl = nccl
        name = pickle.dumps(nccl.get_unique_id() if ranks.rank == 0 else None).ljust(4096, b"\0")
        root = ranks.gather(np.frombuffer(name, np.uint8))[:4096].tobytes()
        ranks.barrier()
        self._communicator = nccl.NcclCommunicator(ranks.size, pickle.loads(root), ranks.rank)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._communicator))  # for ever

    def all_gather(self, send: int, receive: int, words: int, stream: int) -> None:
        """`words` 64-bit words of every rank at device address `send` to all, by rank."""
        self._communicator.allGather(send, receive, words, self._nccl.NCCL_UINT64, stream)

    def minimum(self, send: int, receive: int, words: int, stream: int) -> None:
        """The minimum over the ranks of each of `words` unsigned 64-bit words."""
        self._communicator.allReduce(
            send, receive, words, self._nccl.NCCL_UINT64, self._nccl.NCCL_MIN, stream
        )


_gpus: list[Nccl] = []


def connect_gpus(ranks: Communicator) -> Nccl:
    """The one NCCL communicator of all ranks, each on the GPU that it has chosen."""
    if not _gpus:
        _gpus.append(Nccl(ranks))
    return _gpus[0]


def launched_rank() -> int:
    """The rank that the launcher's environment promises, before MPI starts; 0 without one."""
    return next((int(os.environ[name]) for name in _RANKS if name in os.environ), 0)


def launcher_is_silent() -> bool:
    """Whether the launcher does not say which rank has died: MPICH's mpirun; others do."""
    return "PMI_RANK" in os.environ and "SLURM_PROCID" not in os.environ


def connect() -> Communicator:
    """The ranks of this run: those of the launcher (mpirun, srun), else one.

    Raises InputError if mpi4py is missing, or if the launcher started more ranks than the MPI
    library finds (the ranks would be so many single runs).
    """
    promised = {name: int(os.environ[name]) for name in _PROMISES if name in os.environ}
    expected = next(iter(promised.values()), 1)
    if expected == 1:
        return Serial()
    try:
        ranks = Mpi()
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"{_describe(promised)} asks for several ranks, but MPI cannot be started: {error}; "
            "install distsim[mpich], or mpi4py beside the MPI library of this cluster"
        ) from error
    if ranks.size != expected:
        raise InputError(
            f"{_describe(promised)}, but {ranks.library} finds {ranks.size} rank(s): the launcher "
            "and the library do not belong together; use the mpirun of that library, or srun "
            "with --mpi=pmi2 (MPICH) or --mpi=pmix (Open MPI)"
        )
    return ranks


def agreed(
    ranks: Communicator,
    action: Callable[[], T],
    kind: type[InputError | OutputError] = InputError,
) -> T:
    """What `action` returns on this rank; an error of this kind is raised on every rank alike."""
    error = None
    try:
        result = action()
    except kind as bad:
        error = str(bad)
    try:
        ranks.agree(error)
    except InputError as failed:
        raise kind(str(failed)) from None
    return result


def broadcast(ranks: Communicator, data: bytes) -> bytes:
    """The root's bytes, on every rank; what the others give is ignored."""
    mine = data if ranks.rank == 0 else b""
    return ranks.gather(np.frombuffer(mine, np.uint8)).tobytes()


def _describe(promised: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in promised.items())
