"""Fields of a walking chain's neurons: columns pushed into them, as host code, against sums."""

import ctypes
from typing import Any

import numpy as np
import pytest
from host_code import call, library, needs_compiler

from distsim.gpu.walk_shape import walk_constants, walk_shape

pytestmark = needs_compiler
PUSHES = """
#include "walker.cuh"
extern "C" void pushes(i64 count, const Weights* weights, const i64* up, const i64* state,
                       const i64* room, i64* z, i64* found) {
    Walker b;
    auto set = [&](int k, i64 now) {
        b.set(k, Field((z_t)now, state[k], (z_t)((state[k] ? -now : now) + room[k])));
    };
    for (int k = 0; k < UNIT; k++) set(k, z[k]);
    for (i64 n = 0; n < count; n++, z += UNIT) {
        lanes_t tops = TOPS & Push(up[n])(*b.fields(), weights[n]);
        u32 some = found[n] = tops == TOPS ? 0 : mend(*b.fields());
        for (int k = 0; k < UNIT; k++)
            if (some >> k & 1) set(k, b.crossed_z(k));
        for (int k = 0; k < UNIT; k++) z[UNIT + k] = b.z(k);
    }
}
extern "C" void spans(i64* given) {
    given[0] = HALF;
    given[1] = FARTHEST;
}
"""


def _library(bits: int, z_bits: int) -> ctypes.CDLL:
    unit = 64 // bits
    shape = walk_shape(unit, bits, z_bits, target=16, chains=1, multiprocessors=1, shared=228 << 10)
    given = walk_constants(shape, unit, bits, z_bits)
    return library(PUSHES, **given | {"CHAIN_WARPS": 1, "PASSES": 32})


@pytest.mark.parametrize(("bits", "z_bits"), [(8, 32), (8, 64), (16, 64), (32, 64)])
@pytest.mark.parametrize("rising", [0.5, 0.98, 0.02])
def test_fields_say_when_a_ticket_is_reached(bits: int, z_bits: int, rising: float) -> None:
    """By neighbours lifted out of their spans, too, and by those far from their tickets."""
    host, unit, random = _library(bits, z_bits), 64 // bits, np.random.default_rng(bits)
    spans = np.empty(2, np.int64)
    call(host.spans, spans)
    half, farthest = (int(span) % 2**64 for span in spans)
    count, largest = (40_000 if bits == 16 else 4000), 2 ** (bits - 1) - 1
    kind = f"int{bits}"
    weights: Any = random.integers(largest // 2, largest + 1, (count, unit)).astype(kind)
    weights[random.random((count, unit)) < 0.1] *= -1
    up = (random.random(count) < rising).astype(np.int64)
    state = np.arange(unit) % 2
    room = random.integers(1, 40 * largest, unit)
    if bits < 32:
        room[:2] = half - 1  # clipped: z may rise and fall by far
    z = np.zeros((count + 1, unit), np.int64)
    z[0] = random.integers(-1000, 1000, unit)
    wanted = z[0] + np.cumsum(np.where(up[:, None] == 1, 1, -1) * weights.astype(np.int64), axis=0)
    found = np.empty(count, np.int64)
    call(host.pushes, count, weights, up, state, room, z, found)
    np.testing.assert_array_equal(z[1:], wanted)
    sign = np.where(state == 1, -1, 1)
    far = reached = 0
    for k in range(unit):
        own = (sign[k] * z[:, k]).tolist()
        marks = (found >> k & 1).tolist()
        b = own[0] + min(int(room[k]), farthest)
        for n in range(count):
            slack = b - own[n + 1]
            assert marks[n] == (not 1 <= slack <= half)
            if marks[n]:
                reached += slack < 1
                far += slack > half
                b = own[n + 1] + min(int(room[k]), farthest)
    assert reached > 0
    assert far > 0 or rising == 0.5 or bits == 32
