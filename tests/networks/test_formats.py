"""Networks in files of arrays: round trips, damage, what else they may hold; biases."""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from made_networks import (
    Source,
    asymmetric,
    lines,
    matrix,
    opened,
    save_compressed,
    save_npy,
    save_npz,
    save_sparse,
)

from distsim.errors import InputError
from distsim.files import arrays
from distsim.limits import MOST_NEURONS
from distsim.networks.matrices import Sparse, from_array
from distsim.networks.sparse_file import SparseFile


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_bias(save: Callable[..., None], tmp_path: Path) -> None:
    w, b = asymmetric(), np.arange(7, dtype=np.float32)
    save(tmp_path / "w.npz", weights=w, bias=b)
    network = opened(tmp_path / "w.npz")
    np.testing.assert_array_equal(matrix(network), w)
    np.testing.assert_array_equal(network.bias, b)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("compressed", [False, True])
def test_scipys_npz_with_and_without_bias(kind: str, compressed: bool, tmp_path: Path) -> None:
    w = asymmetric()
    path = tmp_path / "w.npz"
    scipy.sparse.save_npz(path, scipy.sparse.csr_array(w).asformat(kind), compressed)
    network = opened(path)
    assert type(network) is (SparseFile if kind == "csr" else Sparse)
    np.testing.assert_array_equal(matrix(network), w)
    with zipfile.ZipFile(path, "a") as archive, archive.open("bias.npy", "w") as file:
        np.lib.format.write_array(file, np.arange(7.0))
    assert opened(path).bias.tolist() == list(range(7))


def test_a_large_compressed_matrix_is_read_forwards_in_tiles(tmp_path: Path) -> None:
    w = np.random.default_rng(2).integers(-9, 9, (300, 300)).astype(np.int8)
    network = save_compressed(tmp_path, w)
    for start in range(0, 300, 7):
        np.testing.assert_array_equal(
            network.rows(start, min(300, start + 7)), w[start : start + 7]
        )
    assert network.peak(0, 300) == 9.0


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    w = np.full((2, 2), None)
    np.save(tmp_path / "w.npy", w, allow_pickle=True)
    np.savez(tmp_path / "w.npz", weights=w)
    for name in ("w.npy", "w.npz"):
        with pytest.raises(InputError, match=r"shape .* of object given; allowed: numbers"):
            opened(tmp_path / name)
    with pytest.raises(InputError, match="numbers of type object"):
        from_array(w)


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("content", [b"", b"no array at all", b"\x93NUMPY\x01", b"PK\x03\x04"])
def test_a_file_that_holds_something_else(ending: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"w.{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"w\.{ending}"):
        opened(path)


def test_npz_with_other_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", weights=np.eye(2), baises=np.zeros(2))
    with pytest.raises(InputError, match=r"arrays baises, weights given; allowed: weights, or "):
        opened(tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz")
    with pytest.raises(InputError, match="arrays none given; allowed: weights"):
        opened(tmp_path / "w.npz")
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"member readme\.txt given; allowed: arrays"):
        opened(tmp_path / "w.npz")


@pytest.mark.parametrize("order", ["C", "F"])
def test_truncated_npy(order: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.asarray(asymmetric(), order=order))
    whole = path.read_bytes()
    for size in range(0, len(whole), 5):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"w\.npy"):
            opened(path)
    path.write_bytes(whole + b"0")
    with pytest.raises(InputError, match=r"521 bytes given, .* says 520"):
        opened(path)


def test_a_file_cut_while_it_is_read(tmp_path: Path) -> None:
    network = save_npy(tmp_path, asymmetric())
    path = tmp_path / "w.npy"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"w\.npy: damaged or truncated: 20 bytes missing"):
        network.rows(5, 7)


def test_negative_shape_in_a_header(tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.zeros((2, 2)))
    path.write_bytes(path.read_bytes().replace(b"(2, 2)", b"(-2,-2)"))
    with pytest.raises(InputError, match=r"w\.npy"):
        opened(path)


@pytest.mark.parametrize("source", [save_npz, save_compressed, save_sparse])
def test_a_damaged_archive_is_an_error_or_the_same_network(source: Source, tmp_path: Path) -> None:
    w = asymmetric()
    source(tmp_path, w)
    path = tmp_path / "w.npz"
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 4)):
            damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            network = opened(path)
            network.peak(0, network.neurons)
        except InputError:
            refused += 1
        else:
            np.testing.assert_array_equal(matrix(network), w)
    assert refused > 200  # the rest hit dates, attributes and other idle bytes
    for size in range(0, len(whole), 23):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            opened(path)


def test_indices_of_a_sparse_file_are_checked(tmp_path: Path) -> None:
    for kind in ("csr", "csc"):
        np.savez(
            tmp_path / "w.npz",
            format=kind.encode(),
            shape=np.array([2, 2]),
            data=np.ones(2),
            indices=np.array([0, 7]),
            indptr=np.array([0, 1, 2]),
        )
        with pytest.raises(InputError, match=r"w\.npz: not a sparse matrix: indices must be < 2"):
            opened(tmp_path / "w.npz")


def test_bias_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.eye(3))
    np.save(tmp_path / "b.npy", np.array([1, -2, 3], np.int16))
    lines(tmp_path / "b.txt", "1 -2", "", "3e0")
    for name in ("b.npy", "b.txt"):
        network = opened(tmp_path / "w.npy", bias=str(tmp_path / name))
        assert network.bias.tolist() == [1.0, -2.0, 3.0]


def test_a_bias_file_replaces_the_network_s_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", weights=np.eye(2), bias=[5, 6])
    lines(tmp_path / "b.txt", "1 2")
    assert opened(tmp_path / "w.npz").bias.tolist() == [5, 6]
    assert opened(tmp_path / "w.npz", bias=str(tmp_path / "b.txt")).bias.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        ([1.0, 2.0], r"b\.npy: bias of shape \(2,\) given; allowed: \(3,\)"),
        ([[1.0, 2.0, 3.0]], r"b\.npy: bias of shape \(1, 3\) given; allowed: \(N,\)"),
        ([1.0, math.nan, 3.0], r"b\.npy: bias nan of neuron 1 given; allowed: finite"),
        ([1.0, 2.0, math.inf], r"b\.npy: bias inf of neuron 2 given; allowed: finite"),
        ([1j, 2, 3], r"b\.npy: numbers of type complex128 given; allowed: real"),
    ],
)
def test_a_bias_that_does_not_fit(bias: list[Any], message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.eye(3))
    np.save(tmp_path / "b.npy", np.array(bias))
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "w.npy", bias=str(tmp_path / "b.npy"))
    if len(np.shape(bias)) == 1:
        with pytest.raises(InputError, match=message.replace(r"b\.npy", "array")):
            from_array(np.eye(3), bias)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2", r"b\.txt: bias of shape \(2,\) given; allowed: \(3,\)"),
        ("", r"b\.txt: bias of shape \(0,\) given; allowed: \(3,\)"),
        ("1\n2\nx", r"b\.txt, line 3: bias 'x' given; allowed: a finite number"),
        ("1\nnan\n2", r"b\.txt, line 2: bias 'nan' given; allowed: a finite number"),
    ],
)
def test_a_bias_text_that_does_not_fit(text: str, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.eye(3))
    (tmp_path / "b.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "w.npy", bias=str(tmp_path / "b.txt"))


def test_a_bias_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.eye(3))
    for name in ("none.npy", "none.txt"):
        with pytest.raises(InputError, match=rf"{name}: No such file"):
            opened(tmp_path / "w.npy", bias=str(tmp_path / name))
    (tmp_path / "b.dat").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"b\.dat: not UTF-8 text"):
        opened(tmp_path / "w.npy", bias=str(tmp_path / "b.dat"))


def test_a_bias_longer_than_any_network_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "b.npy", np.zeros(MOST_NEURONS + 1, np.int8))
    np.save(tmp_path / "w.npy", np.eye(3))
    monkeypatch.setattr(arrays.ArrayFile, "whole", lambda _: pytest.fail("is read"))
    with pytest.raises(InputError, match=r"b\.npy: bias of shape \(4194305,\) given; allowed: \(N"):
        opened(tmp_path / "w.npy", bias=str(tmp_path / "b.npy"))


# ------------------------------------------------------------------------------------ MatrixMarket
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_matrix_market(kind: str, tmp_path: Path) -> None:
    w = asymmetric()
    given = scipy.sparse.coo_array(w) if kind == "sparse" else w
    for name, symmetry, wanted in [("a", "general", given), ("s", "symmetric", given + given.T)]:
        path = tmp_path / f"{name}.mtx"
        scipy.io.mmwrite(path, wanted, symmetry=symmetry, precision=17)
        network = opened(path)
        np.testing.assert_array_equal(matrix(network), w if name == "a" else w + w.T)
        assert isinstance(network, Sparse) == (kind == "sparse")


def test_a_pattern_of_matrix_market_has_ones(tmp_path: Path) -> None:
    head = "%%MatrixMarket matrix coordinate pattern general"
    network = opened(lines(tmp_path / "w.mtx", head, "% row column", "3 3 2", "1 3", "2 1"))
    assert matrix(network).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a matrix: .*; allowed: a MatrixMarket file"),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 5 1\n", "not a matrix: Line 3: "),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 x 1\n", "not a matrix: Line 3: "),
        ("%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n", "not a matrix: Truncat"),
        ("%%MatrixMarket matrix coordinate real general\n2 3 1\n1 1 1\n", r"shape \(2, 3\) given"),
        ("%%MatrixMarket matrix array complex general\n1 1\n1 1\n", "type complex128 given"),
    ],
)
def test_a_bad_matrix_market_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.mtx").write_text(text)
    with pytest.raises(InputError, match=rf"w\.mtx: .*{message}"):
        opened(tmp_path / "w.mtx")
