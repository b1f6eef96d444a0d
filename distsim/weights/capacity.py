"""The memory plan: how much of a host's memory a rank takes. `gpu/capacity.py` is its twin.

Pure arithmetic, known before anything is allocated.
"""

from distsim.ranks import partition

# Bytes of a local neuron besides its weights: its states, responses and bounds on them, bias and
# what an engine and a law keep for it; of every neuron on each rank: its initial and final state.
LOCAL_BYTES, GLOBAL_BYTES = 140, 2
# Bytes that may follow a column, and the shortest that they follow (`kernels.dense.make_columns`).
COLUMN_SPARE, COLUMN_BYTES = 64, 2048
TARGET_BYTES, POINTER_BYTES = 4, 8  # of a sparse weight besides itself, and of a column
SPARE = 128 << 20  # compiled kernels as they are loaded (measured: 65 to 138 MiB); a tile of rows


def bytes_of_weights(neurons: int, bits: int, size: int) -> int:
    """On the rank with most neurons, of `size` ranks."""
    return neurons * (partition.most(neurons, size) * bits // 8)


def bytes_of_state(neurons: int, size: int) -> int:
    """All besides the weights that grows with N, on the rank with most neurons."""
    return LOCAL_BYTES * partition.most(neurons, size) + GLOBAL_BYTES * neurons


def bytes_of_sparse(neurons: int, bits: int, size: int, entries: int) -> int:
    """On a rank with its part of so many sparse weights, and while they are put in their places."""
    return -(-entries // size) * (TARGET_BYTES + bits // 8) + 2 * POINTER_BYTES * neurons


def bytes_on_host(neurons: int, bits: int, size: int, entries: int | None = None) -> int:
    """All that the rank with most neurons takes, of `size` ranks. entries: how many weights there
    are, where they are held sparse."""
    if entries is not None:
        weights = bytes_of_sparse(neurons, bits, size, entries)
        return weights + bytes_of_state(neurons, size) + SPARE
    weights = bytes_of_weights(neurons, bits, size)
    between = COLUMN_SPARE * neurons if weights >= COLUMN_BYTES * neurons else 0
    return weights + between + bytes_of_state(neurons, size) + SPARE


def ranks_for(
    neurons: int, bits: int, size: int, free: int, entries: int | None = None
) -> int | None:
    """The least number of ranks, `size` or more, for which `free` bytes a rank suffice."""
    return partition.least(
        neurons, size, lambda p: bytes_on_host(neurons, bits, p, entries) <= free
    )
