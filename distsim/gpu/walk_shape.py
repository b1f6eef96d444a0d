"""How the kernel that walks many chains is compiled and launched, and the structs that host and
kernel share: the twin of `kernels/walks.cuh`, without CuPy.

None of the numbers changes a result.
"""

import ctypes
from typing import NamedTuple

import numpy as np

# The members of `Chain` and `Walks`, all of 8 bytes.
_INTEGERS = (
    "replica number exponent started target per_neuron margin transitions goal windows room"
)
CHAIN = np.dtype(
    [
        *((name, np.int64) for name in _INTEGERS.split()),
        *((name, np.float64) for name in "high low scale last until change".split()),
        ("total", np.uint64),
    ]
)
_WALKS = """
    weights column_stride neurons stride seed rest levels held held_stride chains x z bound tickets
    order parts room
"""


class Given(ctypes.Structure):
    """`Walks` of walks.cuh."""

    _fields_ = [(name, ctypes.c_uint64) for name in _WALKS.split()]


CHAIN_BYTES, WALKS_BYTES = CHAIN.itemsize, ctypes.sizeof(Given)

WARP = 32  # threads
_UNIT = 8  # bytes of a column that a thread loads at once
_PASSES = 4  # loads of a column by a thread: for the next event it has as many in flight
_MOST_WARPS = 16  # of a chain
_COMMON = 512  # bytes of shared memory for what a block's threads tell each other
STARTERS = 256  # threads of a chain whose z is made
_RESERVED = 1024  # bytes of shared memory that the system takes of a block
_TICKETS = 6  # of a window for an event aimed at: more than most have
_FEWEST = 32  # tickets for which there is room
_MOST = 1 << 14  # and at most: an index and a state take 16 bits
_MOST_AT_ONCE = 32  # chains on a multiprocessor
_REGISTERS = 1 << 16  # of a multiprocessor


class WalkShape(NamedTuple):
    """warps: of a chain; passes: over a column; at_once: chains on a multiprocessor; room: tickets
    in shared memory; bucket_bits: log2 of the parts of a window that tickets are counted into;
    shared: bytes."""

    warps: int
    passes: int
    at_once: int
    room: int
    bucket_bits: int
    shared: int


def walk_shape(
    n: int, bits: int, z_bits: int, *, target: int, chains: int, multiprocessors: int, shared: int
) -> WalkShape:
    """For chains of n neurons with weights and responses of so many bits; shared: bytes of shared
    memory of a multiprocessor.

    Raises ValueError where a chain does not fit.
    """
    units = -(-n * bits // (8 * _UNIT))
    warps = 1
    while warps < _MOST_WARPS and units > warps * WARP * _PASSES:
        warps *= 2
    padded = -(-n // 8) * 8
    fixed = _COMMON + padded * (2 * bits // 8 + z_bits // 8 + 1) + 64
    ticket = 8 + 2 * z_bits // 8 + 2 + 2
    pile = warps * 2 * WARP * 8  # lies where the parts of `room` tickets come
    wanted = min(max(_TICKETS * target, _FEWEST), _MOST)
    at_once = max(1, min(-(-chains // multiprocessors), _MOST_AT_ONCE, 64 // warps))
    while True:
        left = shared // at_once - _RESERVED - fixed - pile
        room = min(wanted, max(0, left) // (ticket + 4)) // 16 * 16
        if room >= min(wanted // 2, _MOST) or (at_once == 1 and room >= _FEWEST):
            break
        if at_once == 1:
            raise ValueError(f"{n} neurons with weights of {bits} bits")
        at_once -= 1
    bucket_bits = max(5, (room // 2).bit_length())
    parts = max(2 * room, pile)
    total = fixed + 4 * (1 << bucket_bits) + (ticket - 2) * room + parts + 16 * 8
    return WalkShape(warps, -(-units // (warps * WARP)), at_once, room, bucket_bits, total)


def walk_constants(shape: WalkShape, bits: int, z_bits: int) -> dict[str, int]:
    """What the kernel is compiled with besides the constants of all."""
    return {
        "WEIGHT_BITS": bits,
        "Z_BITS": z_bits,
        "CHAIN_WARPS": shape.warps,
        "PASSES": shape.passes,
        "CHAINS_AT_ONCE": shape.at_once,
        "ROOM": shape.room,
        "BUCKET_BITS": shape.bucket_bits,
        "CHAIN_BYTES": CHAIN_BYTES,
        "WALKS_BYTES": WALKS_BYTES,
        "COMMON_BYTES": _COMMON,
        "STARTERS": STARTERS,
    }
