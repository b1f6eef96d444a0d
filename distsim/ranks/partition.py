"""Who owns which neuron: pure arithmetic.

N neurons over P ranks: rank r owns the contiguous neurons [floor(r N / P), floor((r + 1) N / P)).
Sizes differ by at most one; with more ranks than neurons some ranks own none.
"""

from collections.abc import Callable


def start(rank: int, neurons: int, size: int) -> int:
    """First neuron of a rank; `start(rank + 1, ...)` is where its neurons end."""
    return rank * neurons // size


def most(neurons: int, size: int) -> int:
    """Neurons of the last of `size` ranks: no rank owns more."""
    return neurons - start(size - 1, neurons, size)


def least(neurons: int, size: int, suffices: Callable[[int], bool]) -> int | None:
    """The least number of ranks, `size` or more, that suffices; None if a neuron a rank does not.

    `suffices`: of a number of ranks; once true it stays true with more.
    """
    low, high = size, max(size, neurons)
    if not suffices(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if suffices(middle):
            high = middle
        else:
            low = middle + 1
    return low
