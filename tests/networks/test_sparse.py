"""Sparse matrices of SciPy: every format, entries that are repeated, what is refused."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from made_networks import matrix, save_sparse

from distsim.errors import InputError
from distsim.networks.matrices import Sparse, from_array


def test_repeated_entries_of_a_sparse_matrix_are_summed() -> None:
    w = scipy.sparse.csr_array(([1.0, 2.0, 5.0], [2, 2, 0], [0, 3, 3, 3]), shape=(3, 3))
    network = from_array(w)
    assert isinstance(network, Sparse)
    assert network.peak(0, 3) == 5.0
    assert network.rows(0, 1).tolist() == [[5.0, 0.0, 3.0]]
    assert w.nnz == 3


def test_a_sparse_matrix_that_is_not_square(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shape \(3, 4\) given; allowed: square"):
        save_sparse(tmp_path, np.ones((3, 4)))
    with pytest.raises(InputError, match="array: weights of shape"):
        from_array(scipy.sparse.csr_array(np.ones((3, 4))))


@pytest.mark.parametrize("kind", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "u8", "f4", "f8", "g"])
@pytest.mark.parametrize("made", [scipy.sparse.coo_array, scipy.sparse.coo_matrix])
def test_every_sparse_format(kind: str, dtype: str, made: Any) -> None:
    w = np.random.default_rng(6).integers(0, 2, (6, 6)).astype(dtype)
    given = made(w).asformat(kind)
    network = from_array(given)
    np.testing.assert_array_equal(matrix(network), w.astype(np.float64))
    assert network.peak(0, 6) == 1.0
    np.testing.assert_array_equal(given.toarray(), w)
    assert given.dtype == w.dtype


@pytest.mark.parametrize("kind", ["bsr", "coo", "csc", "csr"])
def test_repeated_entries_do_not_wrap(kind: str) -> None:
    data = np.array([100, 100, 7, -100, -100], np.int8)
    columns, rows, starts = [1, 1, 0, 2, 2], [0, 0, 1, 2, 2], [0, 2, 3, 5]
    sparse = scipy.sparse
    given = {
        "coo": lambda: sparse.coo_array((data, (rows, columns)), (3, 3)),
        "csr": lambda: sparse.csr_array((data, columns, starts), (3, 3)),
        "csc": lambda: sparse.csc_array(
            (data[[2, 0, 1, 3, 4]], [1, 0, 0, 2, 2], [0, 1, 3, 5]), (3, 3)
        ),
        "bsr": lambda: sparse.bsr_array((data.reshape(5, 1, 1), columns, starts), (3, 3)),
    }[kind]()
    network = from_array(given)
    assert matrix(network).tolist() == [[0, 200, 0], [7, 0, 0], [0, 0, -200]]
    assert network.peak(0, 3) == 200.0
    assert given.nnz == 5  # the caller's own


def test_unsorted_indices_wide_indices_and_zeros_that_are_stored() -> None:
    given = scipy.sparse.csr_array(
        (np.array([3.0, 1.0, 0.0]), np.array([2, 0, 1], np.int64), np.array([0, 2, 3, 3], np.int64))
    , shape=(3, 3))  # fmt: skip
    network = from_array(given)
    assert matrix(network).tolist() == [[1, 0, 3], [0, 0, 0], [0, 0, 0]]
    assert network.asymmetry(1, 2) is None  # a stored zero on the diagonal
    assert network.asymmetry(0, 3) == (0, 0, 1.0, 1.0)
    assert network.asymmetry(2, 3) == (2, 0, 0.0, 3.0)
    assert given.indices.tolist() == [2, 0, 1]


def test_indices_of_a_sparse_matrix_are_checked() -> None:
    given = scipy.sparse.csr_array(np.eye(3))
    given.indices[1] = 7
    with pytest.raises(InputError, match="array: not a sparse matrix: indices must be < 3"):
        from_array(given)


@pytest.mark.parametrize("form", ["csc", "coo"])
def test_weights_of_a_byte_take_little_more_on_the_way(form: str) -> None:
    random = np.random.default_rng(1)
    places = random.choice(2000**2, 200_000, replace=False).astype(np.int32)
    values = random.integers(1, 100, places.size, dtype=np.int8)
    given = scipy.sparse.coo_array(
        (values, (places // 2000, places % 2000)), shape=(2000, 2000)
    ).asformat(form)
    tracemalloc.start()
    network = from_array(given)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 5.2 * places.size  # a byte each, and its source
    assert peak < 10 * places.size
    assert network.entries(0, 2000) == places.size
