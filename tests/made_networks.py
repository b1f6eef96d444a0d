"""Networks for tests: of a matrix, in every form that a user can give it."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from distsim.config.options import Config
from distsim.networks.catalogue import open_network
from distsim.networks.matrices import from_array
from distsim.weights.source import Network

Source = Callable[[Path, NDArray[Any]], Network]


def opened(network: object, model: str = "mpm", **options: Any) -> Network:
    return open_network(Config(model=model, network=str(network), transitions=1, **options))


def matrix(network: Network) -> NDArray[np.float64]:
    return network.rows(0, network.neurons)


def asymmetric(neurons: int = 7, seed: int = 1) -> NDArray[np.float64]:
    """A sparse matrix with self-edges: float64[N, N]."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(neurons, neurons)) * (rng.random((neurons, neurons)) < 0.6)


def states(neurons: int) -> NDArray[np.float64]:
    """All states, float64[2^N, N]."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=neurons)))


def check_sparse(network: Network, start: int, stop: int, rows: NDArray[np.float64]) -> None:
    """What is given sparsely is `rows`."""
    given, count = network.sparse_rows(start, stop), network.entries(start, stop)
    assert (given is None) == (count is None)
    if given is None or count is None:
        return
    row, source, weights = given
    assert row.dtype == np.int64
    assert weights.dtype == np.float64
    assert row[0] == 0
    assert weights.size == source.size == row[-1] <= count
    made = np.zeros_like(rows)
    for k in range(stop - start):
        part = slice(row[k], row[k + 1])
        assert (np.diff(source[part].astype(np.int64)) > 0).all()
        made[k, source[part]] = weights[part]
    np.testing.assert_array_equal(made, rows)
    weights[:] = 99.0  # the caller's own


def energy(network: Network, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """E(x) = -x'Wx/2 - b'x of each row of x."""
    quadratic: NDArray[np.float64] = np.einsum("si,ij,sj->s", x, matrix(network), x)
    return -quadratic / 2 - x @ network.bias


def lines(path: Path, *text: str) -> Path:
    path.write_text("\n".join(text) + "\n")
    return path


def save_npy(path: Path, w: NDArray[Any]) -> Network:
    np.save(path / "w.npy", w)
    return opened(path / "w.npy")


def save_fortran(path: Path, w: NDArray[Any]) -> Network:
    np.save(path / "w.npy", np.asfortranarray(w))
    return opened(path / "w.npy")


def save_npz(path: Path, w: NDArray[Any]) -> Network:
    np.savez(path / "w.npz", weights=w)
    return opened(path / "w.npz")


def save_compressed(path: Path, w: NDArray[Any]) -> Network:
    np.savez_compressed(path / "w.npz", weights=w)
    return opened(path / "w.npz")


def save_fortran_compressed(path: Path, w: NDArray[Any]) -> Network:
    np.savez_compressed(path / "w.npz", weights=np.asfortranarray(w))
    return opened(path / "w.npz")


def save_sparse(path: Path, w: NDArray[Any]) -> Network:
    scipy.sparse.save_npz(path / "w.npz", scipy.sparse.csc_matrix(w))
    return opened(path / "w.npz")


def save_sparse_rows(path: Path, w: NDArray[Any]) -> Network:
    scipy.sparse.save_npz(path / "w.npz", scipy.sparse.csr_array(w), compressed=False)
    return opened(path / "w.npz")


def save_sparse_rows_compressed(path: Path, w: NDArray[Any]) -> Network:
    scipy.sparse.save_npz(path / "w.npz", scipy.sparse.csr_matrix(w))
    return opened(path / "w.npz")


def save_edges(path: Path, w: NDArray[Any]) -> Network:
    edges = [f"{j},{i},{float(w[i, j])!r}" for i, j in np.ndindex(w.shape) if w[i, j]]
    lines(path / "w.csv", "source,target,weight", *edges)
    return opened(path / "w.csv", neurons=len(w))


def in_memory(path: Path, w: NDArray[Any]) -> Network:
    return from_array(w)


def in_memory_sparse(path: Path, w: NDArray[Any]) -> Network:
    return from_array(scipy.sparse.coo_array(w))


SOURCES: list[Source] = [
    save_npy,
    save_fortran,
    save_npz,
    save_compressed,
    save_fortran_compressed,
    save_sparse,
    save_sparse_rows,
    save_sparse_rows_compressed,
    save_edges,
    in_memory,
    in_memory_sparse,
]
