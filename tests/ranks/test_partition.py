"""Ranks share all neurons, and differ by at most one."""

import itertools

import pytest

from distsim.ranks import partition


@pytest.mark.parametrize("neurons", [1, 2, 3, 7, 8, 100, 281])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 11])
def test_ranks_share_all_neurons_evenly(neurons: int, size: int) -> None:
    starts = [partition.start(rank, neurons, size) for rank in range(size + 1)]
    shares = [stop - start for start, stop in itertools.pairwise(starts)]
    assert starts[0] == 0
    assert starts[-1] == neurons
    assert max(shares) - min(shares) <= 1
    assert min(shares) >= 0


def test_more_ranks_than_neurons() -> None:
    assert [partition.start(rank, 2, 5) for rank in range(6)] == [0, 0, 0, 1, 1, 2]


def test_no_rank_owns_more_than_most() -> None:
    for neurons, size in itertools.product((1, 2, 10, 97), (1, 2, 3, 7, 97, 120)):
        owned = [
            partition.start(r + 1, neurons, size) - partition.start(r, neurons, size)
            for r in range(size)
        ]
        assert partition.most(neurons, size) == max(owned)


@pytest.mark.parametrize("enough", range(1, 22))
@pytest.mark.parametrize("size", [1, 5, 20, 30])
def test_the_least_number_of_ranks_that_suffices(enough: int, size: int) -> None:
    wanted = max(enough, size) if enough <= max(size, 20) else None
    assert partition.least(20, size, lambda ranks: ranks >= enough) == wanted
