"""How the kernel that walks many chains is compiled and launched, and the structs that host and
kernel share: the twin of `kernels/walker.cuh`, without CuPy.

None of the numbers changes a result.
"""

import ctypes
from typing import NamedTuple

import numpy as np

from distsim.gpu.capacity import stride

# The members of `Chain` and `Given`, all of 8 bytes.
_INTEGERS = "replica number exponent started target per_neuron margin transitions goal windows room"
CHAIN = np.dtype(
    [
        *((name, np.int64) for name in _INTEGERS.split()),
        *((name, np.float64) for name in ("high", "low", "scale", "last", "until", "change")),
        ("total", np.uint64),
    ]
)
_GIVEN = """
    weights column_stride stride seed rest levels held held_stride chains x z bound bases
    tickets order parts room
"""


class Given(ctypes.Structure):
    """`Given` of walker.cuh."""

    _fields_ = [(name, ctypes.c_uint64) for name in _GIVEN.split()]


CHAIN_BYTES, GIVEN_BYTES = CHAIN.itemsize, ctypes.sizeof(Given)

WARP = 32  # threads
_UNIT = 8  # bytes of a column that a thread loads at once
# Loads of a column by a thread: for the next event it has as many in flight. A warp alone needs not
# wait for others, which serves short columns best (measured).
_PASSES_ALONE, _PASSES = 2, 8
_MOST_WARPS = 16  # of a chain
_COMMON = 512  # bytes of shared memory for what a block's threads tell each other
STARTERS = 256  # threads of a chain whose z is made
_RESERVED = 1024  # bytes of shared memory that the system takes of a block
_TICKETS, _ENOUGH = 6, 2  # of a window for an event aimed at: more than any, than most have
_FEWEST = 32  # tickets for which there is room
_MOST = 1 << 14  # and at most: an index and a state take 16 bits
_MOST_AT_ONCE = 32  # chains on a multiprocessor
_MOST_THREADS = 2048  # on a multiprocessor


class WalkShape(NamedTuple):
    """warps: of a chain; passes: over a column; at_once: chains on a multiprocessor; room: tickets
    in shared memory; bucket_bits: log2 of the parts of a window that tickets are counted into;
    bases: whether those are in shared memory (fields.cuh)."""

    warps: int
    passes: int
    at_once: int
    room: int
    bucket_bits: int
    bases: bool


def shared_bytes(n: int, bits: int, z_bits: int, shape: WalkShape) -> int:
    """Of shared memory for a chain, as in fields.cuh."""
    unit = 8 * _UNIT // bits
    padded = -(-n // unit) * unit
    pile = shape.warps * 2 * WARP * 8  # lies where the parts of the order come
    order = 2 * shape.room
    bases = padded * z_bits // 8 * shape.bases
    fields = 2 * _UNIT * WARP * shape.warps * shape.passes
    parts = fields, padded, bases, order, max(order, pile)
    tickets = shape.room * (8 + z_bits // 4)
    return _COMMON + (4 << shape.bucket_bits) + tickets + sum(-(-p // 16) * 16 for p in parts)


def walk_shape(
    n: int, bits: int, z_bits: int, *, target: int, chains: int, multiprocessors: int, shared: int
) -> WalkShape:
    """For chains of n neurons with weights and responses of so many bits; shared: bytes of shared
    memory of a multiprocessor.

    Raises ValueError where a chain does not fit.
    """
    units = -(-n * bits // (8 * _UNIT))
    warps = 1 if units <= WARP * _PASSES_ALONE else 2
    while warps < _MOST_WARPS and units > warps * WARP * _PASSES:
        warps *= 2
    passes = -(-units // (warps * WARP))
    wanted = min(max(_TICKETS * target, _FEWEST), _MOST)
    enough = min(wanted, _ENOUGH * target)
    most = min(-(-chains // multiprocessors), _MOST_AT_ONCE, _MOST_THREADS // (warps * WARP))
    for bases, at_once in [(True, k) for k in range(max(1, most), 0, -1)] + [(False, 1)]:
        for room in range(wanted // 16 * 16, _FEWEST - 1, -16):
            bucket_bits = max(5, (room // 2).bit_length())
            found = WalkShape(warps, passes, at_once, room, bucket_bits, bases)
            if shared_bytes(n, bits, z_bits, found) <= shared // at_once - _RESERVED:
                if room >= enough or at_once == 1:
                    return found
                break
    raise ValueError(
        f"{n} neurons with weights of {bits} bits given; allowed: fewer, so that a chain fits the "
        f"{shared} bytes of shared memory of a multiprocessor"
    )


def walk_constants(shape: WalkShape, n: int, bits: int, z_bits: int) -> dict[str, int]:
    """What the kernel is compiled with besides the constants of all."""
    warps, passes, at_once, room, bucket_bits, bases = shape
    return {
        "NEURONS": n,
        "COLUMN_STRIDE": stride(n, bits),
        "WEIGHT_BITS": bits,
        "Z_BITS": z_bits,
        "CHAIN_WARPS": warps,
        "PASSES": passes,
        "CHAINS_AT_ONCE": at_once,
        "ROOM": room,
        "BUCKET_BITS": bucket_bits,
        "BASES_SHARED": int(bases),
        "CHAIN_BYTES": CHAIN_BYTES,
        "GIVEN_BYTES": GIVEN_BYTES,
        "COMMON_BYTES": _COMMON,
        "SHARED_BYTES": shared_bytes(n, bits, z_bits, shape),
        "STARTERS": STARTERS,
    }
