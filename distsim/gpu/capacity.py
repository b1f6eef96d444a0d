"""The memory plan: how much of a GPU a network takes, and a window. Pure arithmetic, no CuPy."""

from typing import NamedTuple

from distsim.gpu.layout import Halt
from distsim.ranks import partition

ALIGNMENT = 16  # bytes: what a column's length is rounded up to
# Bytes of a local neuron besides its weights: z at a window's start and end, the threshold of its
# next ticket, the rest of its bias, its states, its slot, its visits; of every neuron: visits.
LOCAL_BYTES, GLOBAL_BYTES = 3 * 8 + 8 + 1 + 4 + 64 + 8, 8
EVENT_BYTES = 2048  # of an event that a window aims at: its room in tickets, logs and the ring
SPARE = 768 << 20  # CUDA's context, NCCL's buffers, what energies take


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


class Room(NamedTuple):
    """What a rank holds of a window: slots, tickets, and words of its log of events."""

    slots: int
    tickets: int
    events: int


# Of first rooms, in which hardly any window of the rule's overflows; what does is enlarged.
_ALONE, _SHARED = 4, 2  # words of all ranks' logs, in targets: they hold what replays took back too
_UNEVEN = (
    64  # words of a log besides, for a rank with more than its share, and when one is enlarged
)
_PER_EVENT, _TICKETS = 8, 4096  # tickets for a word of the log, and besides
_VISITED, _LIFTED = 5, 3  # neurons with tickets of a BM, of an MPM, for two events aimed at


def first_room(n: int, ranks: int, *, race: bool, target: int, most: int) -> Room:
    """For n neurons of this rank; target, most: of the law. Each neuron may have a slot."""
    words = (_ALONE if ranks == 1 else _SHARED) * target
    share = -(-(most if race else words) // ranks) + _UNEVEN  # a race ends at most events
    return Room(n + 1, 0 if race else _PER_EVENT * share + _TICKETS, share)


def enlarged(room: Room, halted: int, need: Room) -> Room:
    """More of what was too small, by the bits of `Halt`: at least twice as much."""
    bits = Halt.SLOTS, Halt.TICKETS, Halt.EVENTS
    return Room(
        *(
            max(2 * had, wanted + _UNEVEN) if halted & bit else had
            for had, wanted, bit in zip(room, need, bits, strict=True)
        )
    )


def active_neurons(target: int, ranks: int, *, bounded: bool) -> int:
    """About how many neurons of a rank hold tickets in a window; bounded: of an MPM."""
    return -(-(_LIFTED if bounded else _VISITED) * target // (2 * ranks))
