"""Weights as they are read and generated: real inputs, round trips, every refusal, memory."""

import itertools
import math
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from distsim.config.options import Config
from distsim.errors import InputError
from distsim.files import arrays
from distsim.kernels.gaussian import fill_gaussian
from distsim.kernels.states import random_patterns
from distsim.networks import matrices
from distsim.networks.catalogue import open_network
from distsim.networks.celegans import GABA
from distsim.networks.checks import check_model
from distsim.networks.gaussian import Gaussian
from distsim.networks.hopfield import Hopfield
from distsim.networks.matrices import Dense, Sparse, from_array
from distsim.weights.source import Network

G1 = """800 19176
1 560 1
1 503 1
1 264 1
1 128 1
1 483 1
"""  # the head of the G-set's first instance


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


def energy(network: Network, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """E(x) = -x'Wx/2 - b'x of each row of x."""
    quadratic: NDArray[np.float64] = np.einsum("si,ij,sj->s", x, matrix(network), x)
    return -quadratic / 2 - x @ network.bias


def lines(path: Path, *text: str) -> Path:
    path.write_text("\n".join(text) + "\n")
    return path


# ------------------------------------------------------------- the contract, all implementations


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


def save_edges(path: Path, w: NDArray[Any]) -> Network:
    edges = [f"{j},{i},{float(w[i, j])!r}" for i, j in np.ndindex(w.shape) if w[i, j]]
    lines(path / "w.csv", "source,target,weight", *edges)
    return opened(path / "w.csv", neurons=len(w))


def in_memory(path: Path, w: NDArray[Any]) -> Network:
    return from_array(w)


def in_memory_sparse(path: Path, w: NDArray[Any]) -> Network:
    return from_array(scipy.sparse.coo_array(w))


SOURCES = [
    save_npy,
    save_fortran,
    save_npz,
    save_compressed,
    save_fortran_compressed,
    save_sparse,
    save_edges,
    in_memory,
    in_memory_sparse,
]
each_source = pytest.mark.parametrize("source", SOURCES)
Source = Callable[[Path, NDArray[Any]], Network]


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles so small that a matrix of a few neurons needs many."""
    monkeypatch.setattr(arrays, "TILE_BYTES", 40)
    monkeypatch.setattr(matrices, "TILE_BYTES", 40)


@each_source
def test_rows_are_the_matrix(source: Source, tmp_path: Path) -> None:
    w = asymmetric()
    network = source(tmp_path, w)
    assert network.neurons == 7
    assert network.bias.dtype == np.float64
    assert not network.bias.any()
    for start, stop in [(0, 7), (2, 5), (0, 1), (6, 7), (3, 3), (5, 7), (1, 2)]:
        rows = network.rows(start, stop)
        assert rows.dtype == np.float64
        assert rows.flags.c_contiguous
        np.testing.assert_array_equal(rows, w[start:stop])
        rows[:] = 99.0  # the caller's own
    np.testing.assert_array_equal(matrix(network), w)


@each_source
@pytest.mark.usefixtures("small_tiles")
def test_peak_is_the_largest_magnitude_of_the_rows(source: Source, tmp_path: Path) -> None:
    w = asymmetric()
    w[3] = [0, 0, -9, 0, 0, 0, 1]
    network = source(tmp_path, w)
    for start, stop in itertools.combinations_with_replacement(range(8), 2):
        assert network.peak(start, stop) == np.abs(w[start:stop]).max(initial=0.0)


@pytest.mark.parametrize("source", [s for s in SOURCES if s is not save_edges])  # refuses itself
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.usefixtures("small_tiles")
def test_peak_names_the_first_bad_weight(source: Source, bad: float, tmp_path: Path) -> None:
    w = asymmetric()
    w[4, 5] = w[2, 6] = w[5, 0] = bad
    network = source(tmp_path, w)
    for rows, place in [((0, 7), "2, 6"), ((3, 7), "4, 5"), ((5, 6), "5, 0")]:
        with pytest.raises(InputError, match=rf"weight W\[{place}\] = {bad} given; allowed: fin"):
            network.peak(*rows)
    assert network.peak(0, 2) == np.abs(w[:2]).max()


@each_source
@pytest.mark.usefixtures("small_tiles")
def test_asymmetry_is_found_first_in_order(source: Source, tmp_path: Path) -> None:
    w = asymmetric()
    w = w + w.T
    np.fill_diagonal(w, 0)
    symmetric = source(tmp_path, w)
    for start, stop in itertools.combinations_with_replacement(range(8), 2):
        assert symmetric.asymmetry(start, stop) is None

    w[5, 2] = w[2, 5] + 1
    w[6, 1], w[1, 6] = 0.5, 0.0
    w[4, 4] = -3.0
    network = source(tmp_path, w)
    assert network.asymmetry(0, 7) == (1, 6, 0.0, 0.5)
    assert network.asymmetry(2, 7) == (2, 5, w[2, 5], w[5, 2])
    assert network.asymmetry(3, 7) == (4, 4, -3.0, -3.0)
    assert network.asymmetry(5, 6) == (5, 2, w[5, 2], w[2, 5])
    assert network.asymmetry(6, 7) == (6, 1, 0.5, 0.0)
    assert network.asymmetry(0, 1) is None
    check_model(network, "mpm", 0, 7)
    check_model(network, "bm", 3, 4)
    with pytest.raises(InputError, match=r"W\[1, 6\] = 0.0, W\[6, 1\] = 0.5 given; allowed for th"):
        check_model(network, "bm", 0, 7)
    with pytest.raises(InputError, match=r"W\[4, 4\] = -3.0 given; allowed for the bm: symmetric"):
        check_model(network, "bm", 3, 7)


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "<i2", ">i2", "u4", "i8", "u8", "f2", "<f4", ">f4", "f8", "g"]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_real_dtype(dtype: str, order: Any, tmp_path: Path) -> None:
    w = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0]], dtype, order=order)
    network = save_npy(tmp_path, w)
    np.testing.assert_array_equal(matrix(network), w.astype(np.float64))
    assert network.peak(0, 3) == 1.0
    assert network.asymmetry(1, 3) is None
    assert network.asymmetry(0, 3) == (0, 0, 1.0, 1.0)


def test_the_most_negative_integer_has_its_magnitude(tmp_path: Path) -> None:
    w = np.array([[0, -128], [3, 0]], np.int8)
    assert save_npy(tmp_path, w).peak(0, 2) == 128.0
    assert from_array(scipy.sparse.csr_array(w)).peak(0, 2) == 128.0


def test_an_array_is_not_copied_and_not_changed() -> None:
    w = asymmetric()
    network = from_array(w, [0, 1, 2, 3, 4, 5, 6])
    assert isinstance(network, Dense)
    assert network.bias.tolist() == [0, 1, 2, 3, 4, 5, 6]
    w[0, 0] = 42.0
    assert network.rows(0, 1)[0, 0] == 42.0
    assert from_array([[0, 1], [2, 0]]).rows(1, 2).tolist() == [[2.0, 0.0]]


def test_repeated_entries_of_a_sparse_matrix_are_summed() -> None:
    w = scipy.sparse.csr_array(([1.0, 2.0, 5.0], [2, 2, 0], [0, 3, 3, 3]), shape=(3, 3))
    network = from_array(w)
    assert isinstance(network, Sparse)
    assert network.peak(0, 3) == 5.0
    assert network.rows(0, 1).tolist() == [[5.0, 0.0, 3.0]]
    assert w.nnz == 3


# ------------------------------------------------------------------------------- files of arrays


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
    assert isinstance(network, Sparse)
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


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4), r"shape \(3, 4\) given; allowed: square, N x N"),
        ((3,), r"shape \(3,\) given; allowed: square, N x N"),
        ((2, 2, 2), r"shape \(2, 2, 2\) given; allowed: square, N x N"),
        ((0, 0), "0 neurons given; allowed: 1 to 4194304"),
        ((), r"shape \(\) given; allowed: square, N x N"),
    ],
)
def test_shapes_that_are_no_network(shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    for source in (save_npy, save_npz, save_compressed, in_memory):
        with pytest.raises(InputError, match=message):
            source(tmp_path, np.zeros(shape))


def test_a_sparse_matrix_that_is_not_square(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shape \(3, 4\) given; allowed: square"):
        save_sparse(tmp_path, np.ones((3, 4)))
    with pytest.raises(InputError, match="array: weights of shape"):
        from_array(scipy.sparse.csr_array(np.ones((3, 4))))


@pytest.mark.parametrize(
    "w", [np.ones((2, 2), complex), np.full((2, 2), "a"), np.zeros((2, 2), "M8[s]")]
)
def test_numbers_that_are_not_real(w: NDArray[Any], tmp_path: Path) -> None:
    for source in (save_npy, save_npz, in_memory):
        with pytest.raises(InputError, match=r"numbers of type .* given; allowed: real"):
            source(tmp_path, w)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    w = np.full((2, 2), None)
    np.save(tmp_path / "w.npy", w, allow_pickle=True)
    np.savez(tmp_path / "w.npz", weights=w)
    for name in ("w.npy", "w.npz"):
        with pytest.raises(InputError, match=r"shape .* of object given; allowed: numbers"):
            opened(tmp_path / name)
    with pytest.raises(InputError, match="numbers of type object"):
        from_array(w)


def test_rows_of_different_length_are_no_matrix() -> None:
    with pytest.raises(InputError, match=r"array: not readable as weights: .*; allowed: N"):
        from_array([[0, 1], [2]])


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    for ending in ("npy", "npz", "csv", "txt"):
        with pytest.raises(InputError, match=rf"none\.{ending}: No such file or directory"):
            opened(tmp_path / f"none.{ending}")
        (tmp_path / f"folder.{ending}").mkdir()
        with pytest.raises(InputError, match=rf"folder\.{ending}: Is a directory"):
            opened(tmp_path / f"folder.{ending}")
    with pytest.raises(InputError, match=r"network w\.mat given; allowed: celegans, gaussian, "):
        opened("w.mat")


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


@pytest.mark.parametrize("order", ["C", "F"])
def test_only_tiles_of_a_large_file_are_in_memory(order: str, tmp_path: Path) -> None:
    n = 20_000
    path = tmp_path / "w.npy"
    with path.open("wb") as file:
        header = {"descr": "|i1", "fortran_order": order == "F", "shape": (n, n)}
        np.lib.format.write_array_header_1_0(file, header)
        origin = file.tell()
        for i, j, w in [(3, 7, 5), (15_000, 19_999, -6), (19_999, 15_000, 6)]:
            file.seek(origin + (i * n + j if order == "C" else j * n + i))
            file.write(np.int8(w).tobytes())
        file.truncate(origin + n * n)  # 400 MB of zeros take no room on the disk
    network = opened(path)
    tracemalloc.start()
    try:
        assert network.peak(0, n // 2) == 5.0
        assert network.asymmetry(14_900, n // 2 + 5_100) == (15_000, 19_999, -6.0, 6.0)
        row = network.rows(15_000, 15_001)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.flatnonzero(row).tolist() == [19_999]
    assert peak < 64e6


def test_a_rank_reads_only_its_own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = save_npy(tmp_path, asymmetric())
    read: list[tuple[int, int]] = []
    fill = arrays.ArrayFile._fill

    def watched(self: arrays.ArrayFile, offset: int, buffer: NDArray[np.uint8]) -> None:
        read.append((offset, offset + buffer.size))
        fill(self, offset, buffer)

    monkeypatch.setattr(arrays.ArrayFile, "_fill", watched)
    network.peak(2, 4)
    network.rows(2, 4)
    assert {(2 * 7 * 8, 4 * 7 * 8)} == set(read)


# ------------------------------------------------------------------------------------------ bias


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


# ------------------------------------------------------------------------------------- edge lists


def test_edges_between_names_in_order_of_first_appearance(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "B,A,2.5", "", "A,C,-1", "C,C,3")
    network = opened(path)
    assert network.names == ("B", "A", "C")
    assert matrix(network).tolist() == [[0, 0, 0], [2.5, 0, 0], [0, -1, 3]]


def test_edges_between_numbers(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "3,1,2", "0,3,-1")
    network = opened(path)
    assert network.names is None
    assert network.neurons == 4
    assert np.argwhere(matrix(network)).tolist() == [[1, 3], [3, 0]]
    assert opened(path, neurons=9).neurons == 9


def test_edges_as_spreadsheets_write_them(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_bytes(b'\xef\xbb\xbfweight, source ,target\r\n 2,"A, left",B\r\n')
    network = opened(path, neurons=3)
    assert network.names == ("A, left", "B", "2")
    assert network.rows(1, 2).tolist() == [[2, 0, 0]]


def test_a_network_without_edges_needs_a_number_of_neurons(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight")
    assert opened(path, neurons=2).rows(0, 2).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(InputError, match=r"w\.csv: 0 neurons given; allowed: 1 to"):
        opened(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,b,1", "b,a,1", "a,b,2"], "line 4: the edge of line 2 again; allowed: each edge once"),
        (["1,2,1", "01,2,1"], "line 3: the edge of line 2 again"),
        (["a,b,1", "b,a,x"], "line 3: weight 'x' given; allowed: a finite number"),
        (["a,b,"], "line 2: weight '' given; allowed: a finite number"),
        (["a,b,nan"], "line 2: weight 'nan' given; allowed: a finite number"),
        (["a,b,1e999"], "line 2: weight '1e999' given; allowed: a finite number"),
        (["", "a,b"], "line 3: 2 fields given; allowed: source, target, weight"),
        (["a,b,1,2"], "line 2: 4 fields given; allowed: source, target, weight"),
        ([" ,b,1"], "line 2: a neuron without a name"),
        (["0,4194304,1"], "line 2: an edge to the unknown neuron 4194304; allowed: 0 to 4194303"),
        (["0,1,1", "1" + 5000 * "0" + ",1,1"], "line 3: an edge to the unknown neuron 1000"),
        (['"a,b,1'], "not comma-separated values: unexpected end of data"),
    ],
)
def test_a_bad_row_of_an_edge_list(rows: list[str], message: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", *rows)
    with pytest.raises(InputError, match=rf"w\.csv.*{message}"):
        opened(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,1,1", "4,5,1"], "line 3: an edge to the unknown neuron 5; allowed: 0 to 4"),
        (["5,0,1"], "line 2: an edge to the unknown neuron 5; allowed: 0 to 4"),
        (["a,b,1", "c,d,1", "e,f,1"], "line 4: an edge to the unknown neuron f; allowed: 5 differ"),
    ],
)
def test_an_edge_to_an_unknown_neuron(rows: list[str], message: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", *rows)
    with pytest.raises(InputError, match=message):
        opened(path, neurons=5)


@pytest.mark.parametrize("head", ["", "source,target", "source,target,kind,synapses", "0,1,1"])
def test_a_csv_without_the_columns(head: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", head, "1,2,3")
    with pytest.raises(InputError, match=r"line 1: columns .* given; allowed: source, target, wei"):
        opened(path)


def test_a_csv_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_bytes(b"source,target,weight\n\xff,1,1\n")
    with pytest.raises(InputError, match=r"w\.csv: not UTF-8 text"):
        opened(tmp_path / "w.csv")


# --------------------------------------------------------------------------------------- MaxCut


def test_energies_of_maxcut(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    n = 8
    edges = [(i, j, int(rng.integers(-3, 4))) for i in range(n) for j in range(i) if (i + j) % 3]
    text = [f"{n} {len(edges)} ", *(f"{i + 1} {j + 1} {w}" for i, j, w in edges), ""]
    network = opened(lines(tmp_path / "g.txt", *text), model="bm")
    check_model(network, "bm", 0, n)
    x = states(n)
    y = 2 * x - 1
    ising = np.sum([w * y[:, i] * y[:, j] for i, j, w in edges], axis=0)
    cut = np.sum([w * (x[:, i] != x[:, j]) for i, j, w in edges], axis=0)
    total = sum(w for _, _, w in edges)
    np.testing.assert_allclose(energy(network, x), ising - total)
    np.testing.assert_allclose(energy(network, x), -2 * cut)


def test_the_head_of_g1(tmp_path: Path) -> None:
    (tmp_path / "G1.txt").write_text(G1.replace("19176", "5"))
    network = opened(tmp_path / "G1.txt", model="bm")
    assert network.neurons == 800
    assert np.flatnonzero(network.rows(0, 1)).tolist() == [127, 263, 482, 502, 559]
    assert network.rows(559, 560)[0, 0] == -4.0
    assert network.bias[0] == 10.0
    assert network.bias[559] == 2.0
    assert network.bias.sum() == 20.0
    (tmp_path / "G1.txt").write_text(G1)
    with pytest.raises(InputError, match=r"G1\.txt: 5 edges given; allowed: 19176, as the head"):
        opened(tmp_path / "G1.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: 0 numbers given; allowed: n m"),
        ("3 1 1\n1 2 1", "line 1: 3 numbers given; allowed: n m"),
        ("3 -1", "line 1: '-1' given; allowed: an integer"),
        ("0 0", "line 1: 0 neurons given; allowed: 1 to"),
        ("9999999999 0", "line 1: 9999999999 neurons given; allowed: 1 to"),
        ("3 2\n1 2 1", "1 edges given; allowed: 2, as the head says"),
        ("3 1\n1 2 1\n\n2 3 1", "line 4: an edge more than the 1 that the head announces"),
        ("3 1\n1 4 1", "line 2: an edge to the unknown neuron 4; allowed: 1 to 3"),
        ("3 1\n0 1 1", "line 2: an edge to the unknown neuron 0; allowed: 1 to 3"),
        ("3 1\n2 2 1", "line 2: an edge from 2 to itself; allowed: two neurons"),
        ("3 2\n1 2 1\n2 1 1", "line 3: the edge of line 2 again; allowed: each edge once"),
        ("3 1\n1 2", "line 2: 2 numbers given; allowed: i j w"),
        ("3 1\n1 2.0 1", "line 2: '2.0' given; allowed: an integer"),
        ("3 1\n1 2 inf", "line 2: weight 'inf' given; allowed: a finite number"),
    ],
)
def test_a_bad_rudy_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text(text)
    with pytest.raises(InputError, match=rf"g\.txt.*{message}"):
        opened(tmp_path / "g.txt")


# ------------------------------------------------------------------------------------ generators


def test_the_nematode() -> None:
    network = opened("celegans")
    assert network.neurons == 281
    assert network.names is not None
    assert list(network.names) == sorted(network.names)
    assert set(network.names) > GABA
    assert len(GABA) == 26
    index = network.names.index
    w = matrix(network)
    assert w[index("RICL"), index("ADAR")] == 1.0
    assert w[index("AIBR"), index("ADAR")] == 1.0
    assert w[index("RIMR"), index("ADAR")] == 5.0
    assert w[index("AVEL"), index("RIS")] == -7.0  # chemical, inhibits
    assert w[index("RIMR"), index("RIS")] == -3.0  # 4 chemical synapses against a gap junction
    assert w[index("RIML"), index("RIS")] == 0.0  # one against one
    assert w[index("DD1"), index("VD2")] == 1.0  # one against two
    assert w[index("RIBR"), index("RIBR")] > 0.0  # a gap junction with itself
    assert np.abs(w[:, [index(name) for name in GABA]]).sum() > 0
    assert {name for name, onto in zip(network.names, w.T, strict=True) if onto.min() < 0} <= GABA
    assert np.count_nonzero(w) == 3108 - 3  # connected pairs, less those that cancel


def test_the_nematode_as_a_boltzmann_machine() -> None:
    w = matrix(opened("celegans"))
    network = opened("celegans", model="bm")
    np.fill_diagonal(w, 0.0)
    np.testing.assert_array_equal(matrix(network), (w + w.T) / 2)
    check_model(network, "bm", 0, 281)


def test_a_pair_of_named_neurons_is_refused_by_name(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "AVAL,AVAR,2")
    with pytest.raises(InputError, match=r"W\[0, 1\] = 0.0, W\[1, 0\] = 2.0 \(AVAL, AVAR\) given"):
        check_model(opened(path, model="bm"), "bm", 0, 2)


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


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("gaussian", {}, "network gaussian: no size given; allowed: --neurons N"),
        ("hopfield", {"patterns": "3"}, "network hopfield: no size given; allowed: --neurons N"),
        ("hopfield", {"neurons": 9}, "hopfield: no patterns given; allowed: --patterns FILE.npy"),
        ("hopfield", {"patterns": "0", "neurons": 9}, "--patterns: 0 given; allowed: a file, or 1"),
        ("hopfield", {"patterns": "none.npy"}, r"none\.npy: No such file"),
        ("gaussian", {"neurons": 2**22 + 1}, "--neurons: 4194305 neurons given; allowed: 1 to 41"),
        ("celegans", {"neurons": 5}, "--neurons: 5 given for network celegans; allowed only for g"),
        ("celegans", {"patterns": "5"}, "--patterns: 5 given for network celegans; allowed only"),
        ("celegans", {"network_seed": 0}, "--network-seed: 0 given for network celegans; allowed"),
        ("w.npy", {"coupling": 2.0}, r"--coupling: 2.0 given for network w\.npy; allowed only for"),
        ("w.npz", {"neurons": 2}, r"--neurons: 2 given for network w\.npz; allowed only for"),
        ("w.txt", {"neurons": 2}, r"--neurons: 2 given for network w\.txt; allowed only for"),
        ("w.csv", {"coupling": 1.0}, r"--coupling: 1.0 given for network w\.csv; allowed only"),
        ("gaussian", {"neurons": 2, "patterns": "p"}, "--patterns: p given for network gaussian"),
        ("hopfield", {"patterns": "p", "neurons": 2}, "--neurons: 2 given for network hopfield"),
    ],
)
def test_options_that_are_missing_or_have_no_meaning(
    network: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        opened(network, **options)
