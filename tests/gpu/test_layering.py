"""Layers found in W, and how many chains a thread block owns, from sizes alone."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distsim.gpu.layering import layering
from distsim.gpu.variants import (
    LAYER_VARIANTS,
    SHARED_LIMIT,
    VARIANTS,
    LayerVariant,
    Variant,
    algorithm,
    choose,
    choose_for_layers,
)
from distsim.kernels.layers import bounds_of


def _network(*sizes: int) -> NDArray[Any]:
    """Layers, each with weights onto all others."""
    weights = np.ones((sum(sizes), sum(sizes)), np.int8)
    start = 0
    for size in sizes:
        weights[start : start + size, start : start + size] = 0
        start += size
    return weights


@pytest.mark.parametrize("sizes", [(784, 512), (1, 1, 1), (3, 70, 2, 65), (100,)])
def test_layers_are_found_in_weights(sizes: tuple[int, ...]) -> None:
    assert bounds_of(_network(*sizes)).tolist() == [0, *np.cumsum(sizes)]


def test_layers_are_the_fewest_runs() -> None:
    rng = np.random.default_rng(2)
    for density in (0.0, 0.002, 0.02, 0.3):
        weights = np.triu(rng.random((120, 120)) < density, 1).astype(np.int16)
        weights += weights.T
        bounds = bounds_of(weights)
        for k, (a, b) in enumerate(pairwise(bounds)):
            assert not weights[a:b, a:b].any()
            assert k == bounds.size - 2 or weights[a : b + 1, a : b + 1].any()  # none is longer


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ((784, 512), "layers"),
        ((100, 28), "layers"),
        ((100, 27), "resident"),
        ((1,), "resident"),
        ((1,) * 4096, "resident"),
        ((1,) * 4097, "blocks"),
        ((20_000, 10_000), "blocks"),
    ],
)
def test_the_algorithm_is_what_is_fastest(sizes: tuple[int, ...], wanted: str) -> None:
    assert algorithm(sum(sizes), np.cumsum([0, *sizes])) == wanted


@pytest.mark.parametrize("sizes", [(784, 512), (3, 70, 2, 65), (75, 75)])
def test_layers_begin_with_blocks_and_keep_fours_together(sizes: tuple[int, ...]) -> None:
    weights = _network(*sizes)
    weights[:70, 75:] = weights[75:, :70] = 0
    found = layering(weights, bounds_of(weights))
    neuron = np.full(found.size, -1)
    neuron[found.place] = np.arange(sum(sizes))
    assert (np.bincount(found.place, minlength=found.size) <= 1).all()
    assert np.array_equal(found.place % 4, np.arange(sum(sizes)) % 4)
    there = weights != 0
    for k, (place, size, first, start, stop) in enumerate(found.layers.tolist()):
        a, b = bounds_of(weights)[k : k + 2]
        assert (place % 64, first, size) == (0, a // 4 * 4, b - first)
        own = neuron[place : place + size]
        assert np.array_equal(own[own >= 0], np.arange(a, b))
        assert np.array_equal(own[a - first :], first + np.arange(a - first, size))
        read = np.isin(found.place // 64, found.columns[start:stop])
        assert not there[a:b][:, ~read].any()
        assert all(there[a:b][:, found.place // 64 == c].any() for c in found.columns[start:stop])


def test_one_layer_is_two_halves() -> None:
    """The flips of a layer are told while the next is decided."""
    weights = _network(150)
    found = layering(weights, bounds_of(weights))
    assert found.layers.tolist() == [[0, 75, 0, 0, 0], [128, 78, 72, 0, 0]]


def _chains(variant: Variant | LayerVariant | None) -> int | None:
    return None if variant is None else variant.chains


def test_chains_are_spread_over_all_multiprocessors() -> None:
    for chains, wanted in ((1, 8), (1056, 8), (1057, 16), (4096, 32), (8448, 64), (10**6, 128)):
        assert _chains(choose(chains, 1024, 1, 132, energies=False)) == wanted
    for chains, wanted in ((1, 8), (4096, 32), (10**6, 64)):
        assert _chains(choose_for_layers(chains, 1344, 132)) == wanted


def test_large_networks_have_fewer_chains_a_block_and_then_none() -> None:
    for size, wanted in ((2048, 64), (4096, 32), (8192, 16), (16384, 8), (32768, None)):
        assert _chains(choose(10**6, size, 1, 132, energies=True)) == wanted
    assert choose_for_layers(10**6, 32768, 132) is None


def test_variants_fit_a_multiprocessor() -> None:
    """In threads, and registers of 128 a thread."""
    for variant in (*VARIANTS, *LAYER_VARIANTS):
        assert variant.threads <= 512
        assert variant.threads % 32 == 0
    for variant in VARIANTS:
        assert variant.shared(64, 2, energies=True) <= SHARED_LIMIT
        assert variant.chains * variant.lanes % 32 == 0 == 32 * variant.tellers % variant.chains
