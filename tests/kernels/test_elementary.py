"""Elementary functions against NumPy's extended precision."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from distsim.kernels.elementary import LARGEST_NORMAL, exponential, ln, normal_pair, uniform

TOP = 2**32 - 1


def ulps(computed: list[float], exact: NDArray[np.longdouble]) -> float:
    """Largest error in units of the last place."""
    error = np.abs(np.array(computed).astype(np.longdouble) - exact)
    return float((error / np.spacing(np.abs(exact).astype(np.float64))).max())


def inputs() -> NDArray[np.float64]:
    random = np.random.default_rng(1)
    return np.concatenate(
        [
            random.uniform(0.0, 1.0, 5000),
            random.uniform(0.5, 2.0, 5000),
            1.0 + random.normal(0.0, 1e-6, 2000),
            np.exp2(random.uniform(-1000.0, 1000.0, 5000)),
            [2.0**-53, 1.0 - 2.0**-53, np.sqrt(0.5), np.sqrt(2.0), 1e-300, 1e300],
        ]
    )


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no extended precision here")
def test_ln() -> None:
    x = inputs()
    assert ulps([ln(one) for one in x], np.log(x.astype(np.longdouble))) < 1.0
    assert ln(1.0) == 0.0


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no extended precision here")
def test_exponential() -> None:
    x = inputs()
    v = np.concatenate([x[(x > 0) & (x < 1)], 2.0 ** -np.arange(1.0, 55.0)])
    assert ulps([exponential(one) for one in v], -np.log1p(-v.astype(np.longdouble))) < 4.0


def test_uniform() -> None:
    assert uniform(0, 0) == 2.0**-53
    assert uniform(0, 2**12) > uniform(0, 0)
    assert uniform(1, 0) == pytest.approx(2.0**-32, rel=1e-6)
    assert uniform(2**31, 0) == pytest.approx(0.5, rel=1e-15)
    assert 1.0 - 2.0**-31 < uniform(TOP, 0) < 1.0


def test_uniform_is_never_1() -> None:
    assert uniform(TOP, TOP) < 1.0


def test_normal_pair_is_the_transform_of_box_and_muller() -> None:
    random = np.random.default_rng(2)
    edges = [0, 1, TOP, 2**29, 2**30, 2**31, 3 * 2**30, 2**29 - 1, 7 * 2**29]
    pairs = [(a, b) for a in (0, 5, 2**31, TOP) for b in edges]
    pairs += random.integers(0, TOP, (5000, 2), endpoint=True).tolist()
    for a, b in pairs:
        radius = math.sqrt(-2.0 * math.log((a + 0.5) / 2**32))
        angle = 2.0 * math.pi * (b / 2**32)
        cosine, sine = normal_pair(np.uint64(a), np.uint64(b))
        assert cosine == pytest.approx(radius * math.cos(angle), abs=4e-15)
        assert sine == pytest.approx(radius * math.sin(angle), abs=4e-15)


def test_normal_deviates_are_normal_and_bounded() -> None:
    random = np.random.default_rng(3)
    words = random.integers(0, TOP, (20_000, 2), endpoint=True).astype(np.uint64)
    deviates = np.array([normal_pair(a, b) for a, b in words])
    assert stats.kstest(deviates.ravel(), "norm").pvalue > 1e-6
    assert abs(np.corrcoef(deviates.T)[0, 1]) < 0.04
    assert abs(normal_pair(np.uint64(0), np.uint64(0))[0]) < LARGEST_NORMAL
