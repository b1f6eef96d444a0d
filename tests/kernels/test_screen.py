"""The coding of screened thresholds, compiled as host code, against exact integers."""

import math
from typing import Any

import numpy as np
import plain
import pytest
from host_code import call, library, needs_compiler
from numpy.typing import NDArray

from distsim.gpu.layering import NOBODY

pytestmark = needs_compiler

SEED = 2**40 + 5
SOURCE = """
#include "screen.cuh"
extern "C" void decide(i64 seed, i64 sweep, double scale, i64 count, const double* rest,
                       const float* rests, const i32* z, const u8* x, u8* state, i32* kind) {
    Heat heat = heat_of((float)scale);
    for (i64 i = 0; i < count; i++) {
        Visit visit = {(u64)seed, (u64)sweep, (u32)i, scale, rest[i]};
        u32 word = half_word(visit, 0), nearer;
        Span span = rough_span(word, rests[i], heat, nearer);
        i32 gap = gap_at_zero(span);
        kind[i] = 0;
        if (nearer < EDGE || span.doubt > heat.width) {
            gap = exact_gap(visit, word, gap);
            kind[i] = 1;
        }
        gap += 2 * z[i];
        state[i] = gap >= 0;
        if (is_open(open_key(gap), heat.width)) {
            state[i] = settle(visit, rests[i], gap, x[i]);
            kind[i] = 2;
        }
    }
}
extern "C" void keys(const i32* gap, i64 count, i64 width, u8* open) {
    for (i64 k = 0; k < count; k++) open[k] = is_open(open_key(gap[k]), (i32)width);
}
"""


def _decide(
    scale: float,
    rest: NDArray[np.float64],
    z: NDArray[np.int32],
    x: NDArray[np.uint8],
    sweep: int,
    rough: float | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The new states, and 1 where a span was too wide, 2 where a gap left the state open."""
    rests = rest.astype(np.float32) if rough is None else np.full(rest.size, rough, np.float32)
    state, kind = np.empty(rest.size, np.uint8), np.empty(rest.size, np.int32)
    call(library(SOURCE).decide, SEED, sweep, scale, rest.size, rest, rests, z, x, state, kind)
    return state, kind


def _logit(sweep: int, i: int) -> float:
    high, low = (plain.draw(SEED, i // 4, sweep, half, plain.SWEEP)[i % 4] for half in range(2))
    u = plain.uniform(high, low)
    return math.log(u) - math.log1p(-u)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 900.0, 4e4, 3e5, 2.0**25])
def test_states_beside_a_threshold_are_exact(scale: float) -> None:
    """One below it and on it; with large temperatures the screen leaves many open."""
    n, sweep = 2000, 2**33 + 7
    rest = np.random.default_rng(3).uniform(-1.0, 1.0, n)
    values = [scale * _logit(sweep, i) - rest[i] for i in range(n)]
    threshold = np.array([plain.threshold(value) for value in values])
    certain = np.abs(np.array(values) - np.rint(values)) > 1e-9 * scale
    x = np.zeros(n, np.uint8)
    kinds = set[Any]()
    for below in (0, 1, 2):
        z = np.clip(threshold - below, -(2**29) + 1, 2**29 - 1).astype(np.int32)
        state, kind = _decide(scale, rest, z, x, sweep)
        wanted = z >= threshold
        assert np.array_equal(state[certain], wanted[certain])
        kinds |= set(kind.tolist())
    assert certain.mean() > 0.9
    if 900.0 <= scale <= 3e5:
        assert 2 in kinds
    if scale <= 900.0:
        assert 0 in kinds
    if scale > 2.0**24:
        assert kinds == {1}


def test_a_neuron_at_temperature_zero_keeps_its_state_where_nothing_pulls() -> None:
    rest = np.repeat([0.0, -0.0, 0.25, -0.25, 0.5, -0.5, 1.0, -1.0, 1e-7, -1e-7], 6)
    z = np.tile(np.array([-1, 0, 1], np.int32), rest.size // 3)
    for before in (0, 1):
        x = np.full(rest.size, before, np.uint8)
        state, _ = _decide(0.0, rest, z, x, 5)
        pull = z + rest
        wanted = np.where(pull == 0, x, pull > 0)
        assert np.array_equal(state, wanted)


@pytest.mark.parametrize("width", [-1, 1, 2, 9])
def test_open_gaps_are_odd_and_little_below_zero(width: int) -> None:
    edges = [-(2**31), -(2**31) + 1, 2**31 - 1, 2**31 - 2, 2**30, -(2**30)]
    gap = np.array([*range(-25, 26), *edges], np.int32)
    found = np.empty(gap.size, np.uint8)
    call(library(SOURCE).keys, gap, gap.size, width, found)
    wanted = (gap % 2 == 1) & (gap < 0) & (gap > -2 * max(width, 1))
    assert np.array_equal(found, wanted)


def test_a_place_without_a_neuron_stays_at_zero_at_any_temperature() -> None:
    n = 4000
    zeros = np.zeros(n, np.int32)
    for scale in (0.0, 1e-3, 900.0, 2.0**24, 1e9, 1e300):
        state, _ = _decide(scale, np.full(n, -math.inf), zeros, np.zeros(n, np.uint8), 5, NOBODY)
        assert not state.any()
