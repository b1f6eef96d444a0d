"""Gaussian weights: a function of seed and pair, with the right moments."""

import math

import numpy as np
import pytest
from made_networks import matrix, opened

from distsim.kernels.gaussian import fill_gaussian
from distsim.networks.gaussian import Gaussian


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_gaussian_weights_are_a_function_of_seed_and_pair(model: str) -> None:
    n = 200
    network = opened("gaussian", model, neurons=n, coupling=2.0, network_seed=2**64 - 1)
    assert isinstance(network, Gaussian)
    w = matrix(network)
    np.testing.assert_array_equal(network.rows(63, 102), w[63:102])
    if model == "bm":
        np.testing.assert_array_equal(w, w.T)
        assert not np.diag(w).any()
        w = w[np.triu_indices(n, 1)]
    else:
        assert np.diag(w).all()
    sigma = 2.0 / math.sqrt(n)
    # Bounds: 5 standard errors.
    assert abs(w.mean()) < 5 * sigma / math.sqrt(w.size)
    assert abs(w.std() / sigma - 1) < 5 / math.sqrt(2 * w.size)
    assert np.abs(w).max() <= network.peak(0, 1) < 1.8 * np.abs(w).max()
    other = opened("gaussian", model, neurons=n, coupling=2.0, network_seed=1)
    assert matrix(other)[0, 1] != matrix(network)[0, 1]


def test_gaussian_defaults_and_asymmetry() -> None:
    network = opened("gaussian", neurons=16)
    given = opened("gaussian", neurons=16, coupling=1, network_seed=0)
    w = matrix(network)
    np.testing.assert_array_equal(w, matrix(given))
    assert network.asymmetry(0, 16) == (0, 0, w[0, 0], w[0, 0])
    assert network.asymmetry(3, 16) == (3, 0, w[3, 0], w[0, 3])
    assert network.asymmetry(3, 3) is None
    assert opened("gaussian", "bm", neurons=16).asymmetry(0, 16) is None
    zero = opened("gaussian", neurons=16, coupling=0)
    assert not matrix(zero).any()
    assert zero.peak(0, 16) == 0.0
    assert zero.asymmetry(0, 16) is None


def test_gaussian_shards_are_the_rounded_rows() -> None:
    for model in ("mpm", "bm"):
        network = opened("gaussian", model, neurons=50)
        assert isinstance(network, Gaussian)
        unit = 2.0**-5
        shard = np.empty((50, 21), np.int8)
        fill_gaussian(network.formula, 13, 34, unit, shard)
        np.testing.assert_array_equal(shard.T, np.rint(network.rows(13, 34) / unit))
