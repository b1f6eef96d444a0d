"""Who owns which neuron: pure arithmetic.

N neurons over P ranks: rank r owns the contiguous neurons [floor(r N / P), floor((r + 1) N / P)).
Sizes differ by at most one; with more ranks than neurons some ranks own none.
"""


def start(rank: int, neurons: int, size: int) -> int:
    """First neuron of a rank; `start(rank + 1, ...)` is where its neurons end."""
    return rank * neurons // size
