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
