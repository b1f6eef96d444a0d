"""The contract of networks (`weights.source`), over all that fulfil it."""

import itertools
from collections.abc import Callable
from pathlib import Path

import made_networks
import numpy as np
import pytest
from numpy.typing import NDArray

from distsim.kernels.gaussian import gaussian_rows
from distsim.weights.source import Network, Offence

W = made_networks.asymmetric(12, seed=7)
RUDY = ("5 4", "1 2 1", "2 3 -2", "4 1 0.5", "5 4 3")


def of_matrix(source: made_networks.Source) -> Callable[[Path], Network]:
    return lambda folder: source(folder, W)


def named_edges(folder: Path) -> Network:
    edges = ("a,b,2", "b,c,-1", "c,c,4", "a,7,1.5")
    return made_networks.opened(
        made_networks.lines(folder / "w.csv", "source,target,weight", *edges), neurons=6
    )


def rudy(folder: Path) -> Network:
    return made_networks.opened(made_networks.lines(folder / "g.txt", *RUDY), model="bm")


def built_in(name: str, model: str, **options: object) -> Callable[[Path], Network]:
    return lambda _: made_networks.opened(name, model, **options)


NETWORKS: dict[str, Callable[[Path], Network]] = {
    **{source.__name__: of_matrix(source) for source in made_networks.SOURCES},
    "named_edges": named_edges,
    "rudy": rudy,
    "celegans": built_in("celegans", "mpm"),
    "celegans, symmetric": built_in("celegans", "bm"),
    "gaussian": built_in("gaussian", "mpm", neurons=13),
    "gaussian, symmetric": built_in("gaussian", "bm", neurons=13),
    "gaussian, zero": built_in("gaussian", "mpm", neurons=5, coupling=0),
    "hopfield": built_in("hopfield", "bm", neurons=11, patterns="3"),
    "random": built_in("random", "mpm", neurons=13, synapses=4),
    "random, pairs": built_in("random", "bm", neurons=13, synapses=4),
    "random, probability": built_in("random", "mpm", neurons=13, synapses=4, degree="probability"),
    "ring, types": built_in("ring", "mpm", neurons=13, synapses=3, width=2.5, weights="types"),
    "grid": built_in("grid", "mpm", neurons=16, synapses=4, width=1.0),
    "optic-lobe": built_in("optic-lobe", "mpm", extent=0),
    "optic-lobe, symmetric": built_in("optic-lobe", "bm", extent=0),
}


def first_offence(w: NDArray[np.float64], start: int, stop: int) -> Offence | None:
    """By a plain loop."""
    for i, j in itertools.product(range(start, stop), range(len(w))):
        if w[i, j] != w[j, i] or (i == j and w[i, i] != 0.0):
            return i, j, w[i, j], w[j, i]
    return None


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_holds_the_contract(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name](tmp_path)
    n = network.neurons
    whole = network.rows(0, n)
    assert whole.shape == (n, n)
    assert whole.any() or name == "gaussian, zero"
    assert network.name
    assert network.bias.shape == (n,)
    assert network.bias.dtype == np.float64
    assert np.isfinite(network.bias).all()
    if network.names is not None:
        assert len(set(network.names)) == n
        assert all(isinstance(one, str) for one in network.names)
    slices = {(0, n), (0, 0), (n, n), (0, 1), (n - 1, n), (n // 3, n // 2), (n // 2, n)}
    for start, stop in sorted(slices):
        rows = network.rows(start, stop)
        assert rows.dtype == np.float64
        assert rows.flags.c_contiguous
        np.testing.assert_array_equal(rows, whole[start:stop])
        made_networks.check_sparse(network, start, stop, rows)
        rows[:] = 99.0  # the caller's own
        assert network.peak(start, stop) >= np.abs(whole[start:stop]).max(initial=0.0)
        assert network.asymmetry(start, stop) == first_offence(whole, start, stop)
        if network.formula is not None:
            made = gaussian_rows(network.formula, start, stop, n)
            np.testing.assert_array_equal(made, whole[start:stop])
    np.testing.assert_array_equal(network.rows(0, n), whole)


def test_names_are_there_where_the_ids_are_no_numbers(tmp_path: Path) -> None:
    assert named_edges(tmp_path).names == ("a", "b", "c", "7", "4", "5")
    assert of_matrix(made_networks.save_edges)(tmp_path).names is None


def test_all_that_fulfil_the_contract_are_tested(tmp_path: Path) -> None:
    kinds = {type(make(tmp_path)).__name__ for make in NETWORKS.values()}
    assert kinds == {"Dense", "Sparse", "SparseFile", "Gaussian", "Hopfield", "Drawn"}
