"""Sparse matrices in files, read by blocks of rows: what is read, what SciPy is left with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from made_networks import check_sparse, matrix, opened

from distsim.errors import InputError
from distsim.files.arrays import ArrayFile
from distsim.networks import sparse_file
from distsim.networks.sparse_file import SparseFile
from distsim.weights.source import Network

W = scipy.sparse.random_array((60, 60), density=0.2, rng=np.random.default_rng(3), format="csr")


def saved(path: Path, given: Any, **others: Any) -> Network:
    scipy.sparse.save_npz(path / "w.npz", given)
    if others:
        with np.load(path / "w.npz") as arrays:
            np.savez(path / "w.npz", **{**arrays, **others})
    return opened(path / "w.npz")


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "f4", "f8"])
def test_rows_are_read_by_blocks(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_file, "_BLOCK", 40)
    given = (9 * W).astype(dtype)
    given.data[5] = 1
    network = saved(tmp_path, given, bias=np.arange(60.0))
    assert type(network) is SparseFile
    wanted = given.toarray().astype(np.float64)
    np.testing.assert_array_equal(matrix(network), wanted)
    np.testing.assert_array_equal(network.bias, np.arange(60.0))
    assert network.peak(0, 60) == np.abs(wanted).max()
    assert network.peak(7, 7) == 0.0
    check_sparse(network, 11, 50, wanted[11:50])


def test_a_rank_reads_its_rows_alone(tmp_path: Path) -> None:
    network = saved(tmp_path, scipy.sparse.csr_array(np.ones((500, 500))))
    before = ArrayFile.bytes_read
    network.sparse_rows(100, 110)
    assert ArrayFile.bytes_read - before == 5000 * (4 + 8)


def test_what_is_not_in_order_is_read_by_scipy(tmp_path: Path) -> None:
    rows, sources, data = [0, 3, 3, 4], np.array([2, 0, 2, 1]), np.array([1.0, 2.0, 5.0, 3.0])
    for given in (sources, sources[[1, 0, 2, 3]]):
        network = saved(tmp_path, scipy.sparse.csr_array((data, given, rows), (3, 3)))
        assert type(network) is not SparseFile
        assert network.peak(0, 3) == matrix(network).max() > 5.0
    network = saved(tmp_path, scipy.sparse.csc_array(W))
    assert type(network) is not SparseFile


def test_damage_is_refused(tmp_path: Path) -> None:
    indices = W.indices.copy()
    indices[-1] = 60
    with pytest.raises(InputError, match="not a sparse matrix"):
        saved(tmp_path, W, indices=indices)
    with pytest.raises(InputError, match=r"bias of shape \(3,\) given"):
        saved(tmp_path, W, bias=np.zeros(3))
    data = W.data.copy()
    data[7] = np.nan
    place = np.argwhere(W.toarray())[7]
    network = saved(tmp_path, W, data=data)
    with pytest.raises(InputError, match=rf"W\[{place[0]}, {place[1]}\] = nan given"):
        network.peak(0, 60)
    saved(tmp_path, W, indptr=W.indptr)
    content = bytearray((tmp_path / "w.npz").read_bytes())
    at = content.index(W.data.tobytes()[64:128])
    content[at] ^= 1
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        opened(tmp_path / "w.npz")
