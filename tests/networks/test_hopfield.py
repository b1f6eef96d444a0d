"""Hopfield's memory: energies, stable patterns, patterns in files."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_networks import energy, matrix, opened, states
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.kernels.states import random_patterns
from distsim.networks.hopfield import Hopfield
from distsim.networks.matrices import from_array
from distsim.weights import fitting


def hebb(patterns: NDArray[Any]) -> NDArray[np.float64]:
    """V = 1/N sum_p xi_p xi_p' without diagonal, of patterns of 0 and 1."""
    xi = 2.0 * patterns - 1.0
    v: NDArray[np.float64] = xi.T @ xi / patterns.shape[1]
    np.fill_diagonal(v, 0.0)
    return v


@pytest.mark.parametrize("count", [1, 2, 64, 65, 130])
def test_hopfield_energies(count: int) -> None:
    n = 9
    patterns = np.random.default_rng(count).integers(0, 2, (count, n)).astype(np.uint8)
    network = Hopfield(patterns)
    v = hebb(patterns)
    np.testing.assert_allclose(matrix(network), 4 * v, rtol=1e-15, atol=0)
    np.testing.assert_allclose(network.bias, -2 * v.sum(axis=1), rtol=1e-14, atol=1e-14)
    assert network.peak(0, n) == np.abs(matrix(network)).max()
    assert network.peak(3, 3) == 0.0
    assert from_array(matrix(network)).asymmetry(0, n) is None
    assert network.asymmetry(0, n) is None
    x = states(n)
    y = 2 * x - 1
    difference = energy(network, x) + np.einsum("si,ij,sj->s", y, v, y) / 2
    np.testing.assert_allclose(difference, difference[0], atol=1e-12)


def test_a_stored_pattern_is_stable() -> None:
    network = opened("hopfield", "bm", neurons=500, patterns="5", network_seed=3)
    patterns = random_patterns(np.uint64(3), 5, 500)
    for pattern in patterns:
        z = matrix(network) @ pattern + network.bias
        np.testing.assert_array_equal(z > 0, pattern == 1)
    np.testing.assert_array_equal(network.rows(7, 9), matrix(network)[7:9])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("low", [0, -1])
def test_patterns_from_a_file(low: int, order: Any, tmp_path: Path) -> None:
    bits = np.random.default_rng(5).integers(0, 2, (6, 11))
    bits[0] = 1
    np.save(tmp_path / "p.npy", np.asarray(np.where(bits, 1, low), order=order))
    network = opened("hopfield", patterns=str(tmp_path / "p.npy"))
    np.testing.assert_allclose(matrix(network), 4 * hebb(bits), rtol=1e-15)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([[0, 1], [1, -1]], r"p\.npy: -1 given in pattern 1 for neuron 1; allowed: 0 and 1, or -1"),
        ([[1, 1], [1, 2]], r"p\.npy: 2 given in pattern 1 for neuron 1; allowed"),
        ([[math.nan, 1]], r"p\.npy: nan given in pattern 0 for neuron 0; allowed"),
        ([1, 0], r"p\.npy: patterns of shape \(2,\) given; allowed: P x N"),
        (np.zeros((0, 3)), r"p\.npy: patterns of shape \(0, 3\) given; allowed: P x N, P > 0"),
        (np.zeros((3, 0)), r"p\.npy: 0 neurons given; allowed: 1 to"),
        ([["a"]], r"p\.npy: numbers of type .* given; allowed: real"),
    ],
)
def test_bad_patterns(patterns: Any, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array(patterns))
    with pytest.raises(InputError, match=message):
        opened("hopfield", patterns=str(tmp_path / "p.npy"))


def test_patterns_that_do_not_fit_are_refused_before_they_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        InputError,
        match=r"^--patterns: 4,000,000 patterns of 4,000,000 neurons given, 21\.83 TiB; allowed: ",
    ):
        opened("hopfield", patterns="4000000", neurons=4_000_000)
    np.save(tmp_path / "p.npy", np.ones((5, 40), np.int8))
    monkeypatch.setattr(fitting, "available", lambda: 299)
    with pytest.raises(
        InputError, match=r"p\.npy: 5 patterns of 40 neurons given, 300 B; allowed: 299 B, what is"
    ):
        opened("hopfield", patterns=str(tmp_path / "p.npy"))
    monkeypatch.setattr(fitting, "available", lambda: 300)
    assert opened("hopfield", patterns=str(tmp_path / "p.npy")).neurons == 40
