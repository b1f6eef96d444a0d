"""The uniforms of a BM's updates, and what their high halves alone say of the logit."""

import math
from typing import Any

import numpy as np
import plain
import pytest
from numba import njit
from numpy.typing import NDArray

from distsim.kernels.elementary import uniform
from distsim.kernels.philox import replica_bits
from distsim.kernels.updates import (
    LOGIT_ERROR,
    logit_of,
    quads,
    random_logit,
    rough_logit,
    sweep_logit,
)

TOP = 2**32 - 1
EDGE = 2**20


@njit(error_model="numpy")
def _bounds(high: Any) -> Any:
    """float64[3, highs]: the logit of the least and of the largest low half, and the rough one."""
    found = np.empty((3, high.size))
    for k in range(high.size):
        found[0, k] = logit_of(uniform(high[k], 0))
        found[1, k] = logit_of(uniform(high[k], TOP))
        found[2, k] = rough_logit(high[k])
    return found


def _highs() -> NDArray[np.uint32]:
    """Where the exponent of u or 1 - u changes, or the ratio's nearest power of two; near the ends,
    beside the middle; and a million others, half of them uniform in the logit."""
    random = np.random.default_rng(1)
    powers = np.exp2(np.arange(0, 32.01, 0.25))
    ratios = 2.0**32 / (1.0 + np.exp2(np.arange(-13, 13.01, 0.25)))
    around = np.concatenate([powers, 2.0**32 - powers, ratios, [0, EDGE, 2**31, 2**32 - EDGE]])
    near = (np.rint(around)[:, None] + np.arange(-300, 301)).ravel()
    logits = 2.0**32 / (1.0 + np.exp(random.uniform(-23.0, 23.0, 500_000)))
    some = np.concatenate([near, logits, random.integers(0, 2**32, 500_000), [0, TOP]])
    highs: NDArray[np.uint32] = np.clip(some, 0, TOP).astype(np.uint32)
    return highs


def test_the_rough_logit_is_within_its_error_whatever_the_low_half() -> None:
    high = _highs()
    least, largest, rough = _bounds(high)
    known = (high >= EDGE) & (high < 2**32 - EDGE)
    np.testing.assert_array_equal(np.isnan(rough), ~known)
    assert 0.3 < known.mean() < 1.0
    low, up = (rough - least)[known], (largest - rough)[known]
    off = max(float(low.max()), float(up.max()))
    assert (least <= largest).all()
    assert LOGIT_ERROR / 4 < off < LOGIT_ERROR / 2  # half of it is left for double precision


def test_the_rough_logit_is_a_logarithm() -> None:
    for high, ratio in ((2**31, 1.0), (2**30, 1 / 3), (3 * 2**30, 3.0), (2**22, 1 / 1023)):
        _, _, (rough,) = _bounds(np.array([high], np.uint32))
        assert rough == pytest.approx(math.log(ratio), abs=LOGIT_ERROR)


@pytest.mark.parametrize("replica", [0, 1, 65535])
def test_four_neurons_share_two_draws(replica: int) -> None:
    """Each by its own name, too; in every sweep, with its replica in the high bits."""
    seed, bits = np.uint64(2**40 + 5), replica_bits(replica)
    group = np.array([0, 1, 2, 1, 3, 7, 2**20])
    sweep = np.array([0, 0, 0, 5, 2**33, 5, 2**47 + 1])
    halves = [np.empty(4 * group.size, np.uint32) for _ in range(2)]
    for half, words in enumerate(halves):
        quads(seed, bits, group, sweep, half, words)
    for k, (g, s) in enumerate(zip(group.tolist(), sweep.tolist(), strict=True)):
        count = s + (replica << 48)
        drawn = [plain.draw(int(seed), g, count, half, plain.SWEEP) for half in range(2)]
        for a in range(4):
            high, low = (int(words[a * group.size + k]) for words in halves)
            assert (high, low) == (drawn[0][a], drawn[1][a])
            u = plain.uniform(high, low)
            wanted = math.log(u) - math.log1p(-u)
            assert sweep_logit(seed, bits, s, 4 * g + a) == pytest.approx(wanted, rel=1e-14)


def test_a_random_scan_has_a_draw_a_step() -> None:
    seed = 2**40 + 5
    for step, neuron in ((0, 0), (7, 3), (2**33 + 1, 2**21)):
        u = plain.updating(seed, step, neuron, 2**22, sequential=False)
        wanted = math.log(u) - math.log1p(-u)
        assert random_logit(np.uint64(seed), 0, step, neuron) == pytest.approx(wanted, rel=1e-14)
