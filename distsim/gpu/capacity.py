"""The memory plan: how much of a GPU a network takes. Pure arithmetic, known without a GPU."""

from distsim.ranks import partition

ALIGNMENT = 16  # bytes: what a column's length is rounded up to
# Bytes of a local neuron besides its weights: z at a window's start and end, the threshold of its
# next ticket, the rest of its bias, its states, its slot, its visits; of every neuron: visits.
LOCAL_BYTES, GLOBAL_BYTES = 3 * 8 + 8 + 1 + 4 + 64 + 8, 8
EVENT_BYTES = 2048  # of an event that a window aims at: its room in tickets, logs and the ring
SPARE = 768 << 20  # CUDA's context, NCCL's buffers


def stride(n: int, bits: int) -> int:
    """Elements from one column of n weights to the next."""
    return max(ALIGNMENT, -(-n * bits // 8 // ALIGNMENT) * ALIGNMENT) * 8 // bits


def bytes_on_gpu(neurons: int, bits: int, window: int, size: int) -> int:
    """Bytes on the GPU of the rank with most neurons, of `size` ranks; window: events aimed at."""
    n = neurons - partition.start(size - 1, neurons, size)
    weights = neurons * stride(n, bits) * bits // 8
    return weights + LOCAL_BYTES * n + GLOBAL_BYTES * neurons + EVENT_BYTES * window + SPARE


def gpus_for(neurons: int, bits: int, window: int, size: int, free: int) -> int | None:
    """The least number of ranks, `size` or more, for which `free` bytes a GPU suffice."""
    if bytes_on_gpu(neurons, bits, window, neurons) > free:
        return None
    low, high = size, max(size, neurons)
    while low < high:
        middle = (low + high) // 2
        if bytes_on_gpu(neurons, bits, window, middle) <= free:
            high = middle
        else:
            low = middle + 1
    return low
