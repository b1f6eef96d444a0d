"""Matrices in memory and in files: what is read, what is refused."""

import itertools
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from made_networks import (
    SOURCES,
    Source,
    asymmetric,
    in_memory,
    matrix,
    opened,
    save_compressed,
    save_edges,
    save_npy,
    save_npz,
)
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files import arrays
from distsim.networks import matrices
from distsim.networks.checks import check_model
from distsim.networks.matrices import Dense, from_array

each_source = pytest.mark.parametrize("source", SOURCES)


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


@pytest.mark.parametrize(
    "w", [np.ones((2, 2), complex), np.full((2, 2), "a"), np.zeros((2, 2), "M8[s]")]
)
def test_numbers_that_are_not_real(w: NDArray[Any], tmp_path: Path) -> None:
    for source in (save_npy, save_npz, in_memory):
        with pytest.raises(InputError, match=r"numbers of type .* given; allowed: real"):
            source(tmp_path, w)


def test_rows_of_different_length_are_no_matrix() -> None:
    with pytest.raises(InputError, match=r"array: not readable as weights: .*; allowed: N"):
        from_array([[0, 1], [2]])


@pytest.mark.parametrize("order", ["C", "F"])
def test_only_tiles_of_a_large_file_are_in_memory(order: str, tmp_path: Path) -> None:
    n = 10_000
    path = tmp_path / "w.npy"
    with path.open("wb") as file:
        header = {"descr": "|i1", "fortran_order": order == "F", "shape": (n, n)}
        np.lib.format.write_array_header_1_0(file, header)
        origin = file.tell()
        for i, j, w in [(3, 7, 5), (7_500, 9_999, -6), (9_999, 7_500, 6)]:
            file.seek(origin + (i * n + j if order == "C" else j * n + i))
            file.write(np.int8(w).tobytes())
        file.truncate(origin + n * n)  # 100 MB of zeros take no room on the disk
    network = opened(path)
    tracemalloc.start()
    try:
        assert network.peak(0, n // 2) == 5.0
        assert network.asymmetry(7_400, n // 2 + 2_600) == (7_500, 9_999, -6.0, 6.0)
        row = network.rows(7_500, 7_501)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.flatnonzero(row).tolist() == [9_999]
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


# ------------------------------------------------------------------ what Python can be given


def test_a_mask_is_not_dropped() -> None:
    w = np.ma.masked_array(asymmetric(), mask=np.zeros((7, 7), bool))
    np.testing.assert_array_equal(matrix(from_array(w)), w.data)  # nothing is masked
    w[5, 1] = w[3, 6] = np.ma.masked
    for given in (w, list(w)):
        with pytest.raises(InputError, match=r"array: weights\[3, 6\] is masked; allowed: numbers"):
            from_array(given)
    bias = np.ma.masked_equal([0, 1, 2, 1, 4, 5, 6], 1)
    with pytest.raises(InputError, match=r"array: bias\[1\] is masked; allowed: numbers, none"):
        from_array(w.data, bias)


def test_subclasses_and_views_of_arrays() -> None:
    w = asymmetric(8)
    for view in (w.view(np.matrix), w.T, np.broadcast_to(w[3], (8, 8)), w[::2, ::-2]):
        network = from_array(view)
        np.testing.assert_array_equal(matrix(network), np.asarray(view))
        assert network.peak(0, network.neurons) == np.abs(view).max()


class Foreign:
    """An array of another package that cannot be had here, and says so at length."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("there is no " + 1000 * "way ")


@pytest.mark.parametrize(
    ("weights", "bias", "message"),
    [
        ([[0, 1], [2]], None, "not readable as weights: .*; allowed: N x N"),
        ([[0, 1], [2, 0]], [1, [2, 3]], "not readable as bias: .*; allowed: N numbers"),
        ([[0, 1], [2, 0]], [[1, 2]], r"bias of shape \(1, 2\) given; allowed: \(2,\)"),
        ([[0, 1], [2, 0]], 1.0, r"bias of shape \(\) given; allowed: \(2,\)"),
        ([[0, 1], [2, 0]], ["a", "b"], "numbers of type <U1 given; allowed: real"),
        ([[0, 1], [2, 0]], [1, None], "numbers of type object given; allowed: real"),
        (Foreign(), None, "not readable as weights: there is no way .*; allowed: N x N"),
        (None, None, "numbers of type object given; allowed: real"),
        ({"weights": 1}, None, "numbers of type object given; allowed: real"),
        ([[0, 10**400], [1, 0]], None, "numbers of type object given; allowed: real"),
        (np.zeros((300, 300, 3)), None, r"weights of shape \(300, 300, 3\) given; allowed: square"),
        (np.zeros((2, 2), [("a", float)]), None, "numbers of type .* given; allowed: real"),
        (b"W.npy", None, "numbers of type .* given; allowed: real"),
    ],
)
def test_what_is_no_matrix_is_one_short_message(weights: Any, bias: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^array: {message}") as caught:
        from_array(weights, bias)
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("dtype", ["i8", "u8", "g"])
def test_weights_are_symmetric_as_they_are_read(dtype: str) -> None:
    w = np.zeros((2, 2), dtype)
    w[0, 1], w[1, 0] = 2**60, 2**60 + 1  # the same float64
    assert from_array(w).asymmetry(0, 2) is None
    assert from_array(scipy.sparse.csr_array(w)).asymmetry(0, 2) is None


def test_a_weight_beyond_float64_is_refused() -> None:
    w = np.zeros((2, 2), np.longdouble)
    w[1, 0] = np.longdouble("1e4000")
    for given in (w, scipy.sparse.csr_array(w)):
        with pytest.raises(InputError, match=r"weight W\[1, 0\] = inf given; allowed: finite"):
            from_array(given).peak(0, 2)


@pytest.mark.parametrize("source", [s for s in SOURCES if s is not save_edges])  # refuses itself
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_weight_of_a_boltzmann_machine_is_called_so(
    source: Source, bad: float, tmp_path: Path
) -> None:
    w = np.zeros((3, 3))
    w[2, 1] = bad
    with pytest.raises(InputError, match=rf"weight W\[2, 1\] = {bad} given; allowed: finite"):
        check_model(source(tmp_path, w), "bm", 0, 3)
