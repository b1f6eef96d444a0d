"""The contract of ranks, asked of all ranks together: python ranks_contract.py [abort]

On the ranks of MPI, where a launcher starts it; with `abort` the last rank ends all with status 7.
"""

import sys

import numpy as np

from distsim.errors import InputError
from distsim.ranks.communicator import Communicator, group_of
from distsim.ranks.mpi import Mpi


def check(ranks: Communicator) -> None:
    """Every member of the table, on every rank alike."""
    size, rank = ranks.size, ranks.rank
    everyone = range(size)
    assert 0 <= rank < size
    assert isinstance(ranks.library, str)

    assert ranks.minimum(2**64 - 1 - rank) == 2**64 - size
    assert ranks.minimum(rank + 5) == 5
    assert ranks.maximum(-(2**62) + rank) == -(2**62) + size - 1
    assert ranks.maximum(rank) == size - 1
    assert ranks.largest(-0.5 * rank) == 0.0
    assert ranks.largest(0.1 * rank - 3.0) == 0.1 * (size - 1) - 3.0
    assert ranks.total(2**120 + rank) == size * 2**120 + sum(everyone)

    for most in (0, 3, 64, 65, 1000, 2):  # more than there was room for, and fewer again
        mine = np.arange(most - most // 2 * (rank % 2), dtype=np.uint64) + np.uint64(2**63 + rank)
        parts, counts, stop = ranks.exchange(mine, 2**64 - 1 - rank)
        assert counts.tolist() == [most - most // 2 * (r % 2) for r in everyone]
        assert stop == 2**64 - size
        assert parts.shape[0] == size
        for r in everyone:
            assert parts[r, : counts[r]].tolist() == [2**63 + r + k for k in range(counts[r])]

    for n in (0, 1, 100):
        states = np.full(n * rank + (n > 1), rank, np.uint8)
        assert ranks.gather(states).tolist() == [
            r for r in everyone for _ in range(n * r + (n > 1))
        ]

    assert refusal(ranks, None) is None
    for guilty in ([0], [size - 1], list(everyone)[1:] or [0]):
        said = refusal(ranks, f"rank {rank}: näher" if rank in guilty else None)
        assert said == f"rank {guilty[0]}: näher"

    place, there = ranks.here()
    assert 0 <= place < there <= size
    assert ranks.maximum(there) == ranks.total(1) == size  # all on this host
    assert ranks.total(1 << 4 * place) == sum(1 << 4 * r for r in everyone)  # each its own place
    ranks.barrier()

    assert ranks.minimum(int(ranks.side_by_side())) == ranks.maximum(int(ranks.side_by_side()))
    for words in (size, 5, 1000):
        memory = ranks.share(words)
        assert memory.size == words
        assert memory.dtype == np.uint64
        ranks.barrier()
        memory[rank % words] = rank + words
        ranks.barrier()
        if words >= size:
            assert memory[:size].tolist() == [r + words for r in everyone]
        ranks.barrier()
    before, after = ranks.share(1000), ranks.share(100_000)
    assert not after[1000:].any()
    if rank == 0:
        before[999] = 7
        after[999] = 8
    ranks.barrier()
    assert (int(before[999]), int(after[999])) == (7, 8)  # who has the old one keeps it
    ranks.barrier()

    for each in (one for one in range(1, size + 1) if size % one == 0):
        for group in (ranks.groups(each), group_of(ranks, each)):
            assert (group.rank, group.size) == (rank % each, each)
            first = rank - group.rank
            parts, counts, least = group.exchange(np.array([rank], np.uint64), 7 + rank)
            assert parts[:, 0].tolist() == list(range(first, first + each))
            assert (counts.tolist(), least) == ([1] * each, 7 + first)
            assert group.total(rank + 1) == sum(range(first + 1, first + each + 1))
            assert refusal(group, f"by {rank}") == f"by {first}"
    ranks.barrier()


def refusal(ranks: Communicator, error: str | None) -> str | None:
    """What the ranks agree to be refused for."""
    try:
        ranks.agree(error)
    except InputError as refused:
        return str(refused)
    return None


if __name__ == "__main__":
    ranks = Mpi()
    if sys.argv[1:] == ["abort"]:
        if ranks.rank == ranks.size - 1:
            ranks.abort(7)
        ranks.barrier()
        raise AssertionError
    check(ranks)
    if ranks.rank == 0:
        print(f"kept by {ranks.size}")
