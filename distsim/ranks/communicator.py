"""The ranks: what they can do together, and who they are.

One contract, two implementations:

| member | meaning |
|---|---|
| rank, size | this rank, and how many there are; rank 0 is the root |
| library | name and version of the MPI library; "" without MPI |
| minimum(word), maximum(number) | of one unsigned word, one signed integer of 64 bits |
| largest(value) | maximum of one float |
| total(number) | exact sum of one Python integer over the ranks, from -2^126 to 2^126 |
| exchange(words, stop) | uint64[ranks, k or more], a row a rank, until the next call; |
| | the k, int64[ranks]; the least stop |
| gather(states) | uint8[n] of every rank, concatenated in order of rank |
| agree(error) | raises InputError on every rank alike if any rank has an error message |
| here() | (rank, size) among the ranks of this host |
| side_by_side() | whether they are of one host, where each rank, of other groups too, may have a |
| | core of its own |
| share(words) | uint64[words], the same memory on all ranks, which are of one host: zeros at |
| | first. Who asks again gets it again as it was left, unless he asks for more |
| groups(size) | this one's group, where each has `size` consecutive ranks, which divides how many |
| | there are |
| barrier(), abort(status) | wait for all ranks; end all ranks at once |

Without a launcher neither MPI nor mpi4py is needed or imported.
"""

import os
import sys
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.ranks.mpi import Mpi

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
    def side_by_side(self) -> bool: ...
    def share(self, words: int) -> NDArray[np.uint64]: ...
    def groups(self, size: int) -> "Communicator": ...
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

    def side_by_side(self) -> bool:
        return True

    def share(self, words: int) -> NDArray[np.uint64]:
        from distsim.kernels.memory import aligned  # late: it needs Numba

        memory: NDArray[np.uint64] = aligned((words,), np.uint64)
        memory[:] = 0
        return memory

    def groups(self, size: int) -> "Communicator":
        return self

    def barrier(self) -> None:
        pass

    def abort(self, status: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def group_of(ranks: Communicator, size: int) -> Communicator:
    """`ranks.groups(size)`, which for one rank needs no messages."""
    if size == 1:
        return Serial()
    return ranks if size == ranks.size else ranks.groups(size)


def launched_rank() -> int:
    """The rank that the launcher's environment promises, before MPI starts; 0 without one."""
    return next((int(os.environ[name]) for name in _RANKS if name in os.environ), 0)


def promised() -> int | None:
    """The number of ranks that the launcher promises; None without one."""
    return next((int(os.environ[name]) for name in _PROMISES if name in os.environ), None)


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


def _describe(promised: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in promised.items())
