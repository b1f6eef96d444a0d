"""The contract of storages (`weights.storage`), over all that fulfil it, against plain NumPy.

On the CPU every kind holds what compiled loops need besides (`HostStorage`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distsim.kernels.apply import PASS, Marks
from distsim.kernels.columns import weight
from distsim.kernels.events import neuron_of
from distsim.kernels.gaussian import Formula, gaussian_rows
from distsim.kernels.replay import Bounds
from distsim.kernels.tickets import SLOT_KIND
from distsim.limits import NEURON_BITS
from distsim.weights.dense import DenseColumns
from distsim.weights.sparse import SparseColumns
from distsim.weights.storage import HostStorage, Storage

N, FIRST, SIZE = 41, 7, 23  # neurons; those of the rank: FIRST .. FIRST + SIZE - 1


def device_columns(neurons: int, size: int, bits: int) -> Storage:
    from distsim.gpu.dense import DeviceColumns

    return DeviceColumns(neurons, size, bits)


def tiled_columns(neurons: int, size: int, bits: int) -> HostStorage:
    return SparseColumns(neurons, size, bits, tile=5)


HOST: list[Callable[[int, int, int], HostStorage]] = [DenseColumns, SparseColumns, tiled_columns]
ALL = [*HOST, pytest.param(device_columns, marks=pytest.mark.gpu)]
each = pytest.mark.parametrize("kind", ALL)
each_on_host = pytest.mark.parametrize("kind", HOST)
bits_of_a_weight = pytest.mark.parametrize("bits", [8, 16, 32])
RESPONSES = {8: np.int32, 16: np.int32, 32: np.int64}  # kinds of z: those that most runs have
Kind = Callable[[int, int, int], Any]


def integers(bits: int, neurons: int = N, size: int = SIZE) -> NDArray[Any]:
    """Rows of weights, int[size, neurons], the largest magnitudes and zeros among them."""
    most = 2 ** (bits - 1) - 1
    w = np.random.default_rng(bits).integers(-most, most + 1, (size, neurons))
    w[w % 3 == 0] = w[:, 11] = w[size // 2, :] = 0
    w[0, 0], w[-1, -1] = most, -most
    return w.astype(f"int{bits}")


def filled(kind: Kind, w: NDArray[Any]) -> Any:
    """A storage of these rows, which come in tiles, not in order."""
    storage = kind(w.shape[1], w.shape[0], 8 * w.itemsize)
    for start in range(0, len(w), 5)[::-1]:
        storage.store_rows(np.ascontiguousarray(w[start : start + 5]), start)
    return storage


def held(storage: Storage) -> NDArray[np.int64]:
    """W of a storage, int64[n, N], by the contract alone: W e_j is column j."""
    columns = np.zeros((storage.neurons, storage.size), np.int64)
    for j, state in enumerate(np.eye(storage.neurons, dtype=np.uint8)):
        storage.multiply(state, columns[j])
    return columns.T


def plain_digest(w: NDArray[Any], first: int) -> int:
    """sum over i, j of W_ij a_i b_j modulo 2^64, in Python's integers."""

    def odd(k: int) -> int:
        h = k * 0x9E3779B97F4A7C15 % 2**64
        h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        h = (h ^ (h >> 27)) * 0x94D049BB133111EB % 2**64
        return h ^ (h >> 31) | 1

    a = [odd(2 * (first + i) + 1) for i in range(w.shape[0])]
    b = [odd(2 * j + 2) for j in range(w.shape[1])]
    return sum(int(x) * a[i] * b[j] for (i, j), x in np.ndenumerate(w)) % 2**64


@each
@bits_of_a_weight
def test_what_was_stored_is_held(kind: Kind, bits: int) -> None:
    w = integers(bits)
    storage = filled(kind, w)
    assert (storage.neurons, storage.size, storage.bits) == (N, SIZE, bits)
    assert storage.bytes >= np.count_nonzero(w) * w.itemsize
    np.testing.assert_array_equal(held(storage), w)


@each
@bits_of_a_weight
@pytest.mark.parametrize("response", [np.int32, np.int64])
def test_products(kind: Kind, bits: int, response: Any) -> None:
    w = integers(bits) // (64 if response is np.int32 else 1)
    storage = filled(kind, w.astype(f"int{bits}"))
    rng = np.random.default_rng(1)
    z = rng.integers(-9, 9, SIZE).astype(response)
    for states in (np.zeros(N, np.uint8), np.ones(N, np.uint8), rng.integers(0, 2, N, np.uint8)):
        before = z.astype(np.int64)
        storage.multiply(states, z)
        assert z.dtype == response
        np.testing.assert_array_equal(z, before + w.astype(np.int64) @ states)


@each
@bits_of_a_weight
def test_magnitudes(kind: Kind, bits: int) -> None:
    w = integers(bits).astype(np.int64)
    absolute, squares = filled(kind, integers(bits)).magnitudes()
    assert absolute.dtype == np.int64
    np.testing.assert_array_equal(absolute, np.abs(w).sum(axis=1))
    np.testing.assert_allclose(squares, np.square(w.astype(float)).sum(), rtol=1e-13)


@each
@bits_of_a_weight
def test_digest_is_that_of_the_weights_whoever_holds_them(kind: Kind, bits: int) -> None:
    w = integers(bits)
    whole = filled(kind, w).digest(FIRST)
    assert whole == plain_digest(w, FIRST)
    parts = [filled(kind, w[:9]).digest(FIRST), filled(kind, w[9:]).digest(FIRST + 9)]
    assert whole == sum(parts) % 2**64
    w[3, 5] ^= 1
    assert filled(kind, w).digest(FIRST) != whole


@each
@bits_of_a_weight
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("first", [0, 6, 18])  # above, across and below the diagonal's end
def test_a_formula_is_made_in_place(kind: Kind, bits: int, symmetric: bool, first: int) -> None:
    formula = Formula(np.uint64(2**63 + 5), 0.3, symmetric)
    unit = 2.0 ** (4 - bits)
    storage = kind(N, SIZE, bits)
    storage.generate(formula, first, unit)
    wanted = np.rint(gaussian_rows(formula, first, first + SIZE, N) / unit)
    np.testing.assert_array_equal(held(storage), wanted)


@each
@bits_of_a_weight
def test_a_rank_without_neurons(kind: Kind, bits: int) -> None:
    storage = kind(N, 0, bits)
    storage.generate(Formula(np.uint64(1), 0.3, False), 0, 1.0)
    absolute, squares = storage.magnitudes()
    assert (absolute.size, squares, storage.digest(3)) == (0, 0.0, 0)
    storage.multiply(np.ones(N, np.uint8), np.zeros(0, np.int64))


# ------------------------------------------------------------------------ on the CPU besides


def events_of(neurons: NDArray[np.int64], states: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Events at ticks 1, 2, ... of these neurons, each to its other state."""
    x, words = states.copy(), np.empty(neurons.size, np.uint64)
    for k, j in enumerate(neurons.tolist()):
        x[j] ^= 1
        words[k] = (k + 1) << NEURON_BITS + 1 | j << 1 | int(x[j])
    return words


def on_the_way(w: NDArray[Any], z: NDArray[Any], events: NDArray[np.uint64]) -> NDArray[np.int64]:
    """z before the first event and after each, int64[events + 1, n]."""
    way = [z.astype(np.int64)]
    for event in events.tolist():
        sign = 1 if event & 1 else -1
        way.append(way[-1] + sign * w[:, event >> 1 & 2**NEURON_BITS - 1].astype(np.int64))
    return np.array(way)


@each_on_host
@bits_of_a_weight
def test_weights_are_reached_by_their_place(kind: Kind, bits: int) -> None:
    w = integers(bits)
    storage = filled(kind, w)
    for i, j in [(0, 0), (SIZE - 1, N - 1), *np.argwhere(w == 0)[::40], *np.argwhere(w)[::40]]:
        assert weight(storage.columns, i, j) == w[i, j]
    diagonal = storage.diagonal(FIRST)
    np.testing.assert_array_equal(diagonal, [w[i, FIRST + i] for i in range(SIZE)])


@each_on_host
@bits_of_a_weight
@pytest.mark.parametrize("size", [1, SIZE, 300])  # less and more than a line of the caches
@pytest.mark.parametrize("count", [0, 1, 4, 5, PASS - 1, PASS, PASS + 1, 200])
def test_events_are_applied_with_bounds_on_the_way(
    kind: Kind, bits: int, size: int, count: int
) -> None:
    rng = np.random.default_rng(count)
    w = integers(bits, size=size)
    storage = filled(kind, w)
    states = rng.integers(0, 2, N, np.uint8)
    z = rng.integers(-1000, 1000, size).astype(RESPONSES[bits])
    start = z.copy()
    events = events_of(rng.integers(N, size=count), states)
    way = on_the_way(w, z, events)

    end, high, low = (np.full_like(z, -7) for _ in range(3))
    slots = np.zeros(3, SLOT_KIND)
    slots["neuron"] = size - 1, 0, size // 2
    marks = Marks(events, np.empty((-(-count // PASS), 3), np.int64), np.full(count, -7))
    storage.apply(z, end, Bounds(high, low), slots, marks, 5)
    np.testing.assert_array_equal(z, start)
    np.testing.assert_array_equal(end, way[-1])
    np.testing.assert_array_equal(marks.values, way[:count:PASS, slots["neuron"]])
    for k, event in enumerate(events):
        i = int(neuron_of(event)) - 5
        moved = way[k, i] - way[k - k % PASS, i] if 0 <= i < size else -7
        assert marks.inside[k] == moved
    assert ((way.max(axis=0) <= high) & (high <= way.max(axis=0) + PASS)).all()
    assert ((way.min(axis=0) >= low) & (low >= way.min(axis=0) - PASS)).all()

    storage.accumulate(events, z)
    np.testing.assert_array_equal(z, way[-1])


@each_on_host
@bits_of_a_weight
def test_adjusted_is_as_applied_anew(kind: Kind, bits: int) -> None:
    rng = np.random.default_rng(3)
    w = integers(bits)
    storage = filled(kind, w)
    z = rng.integers(-1000, 1000, SIZE).astype(RESPONSES[bits])
    events = events_of(rng.integers(N, size=60), np.zeros(N, np.uint8))
    end, high, low = (np.empty_like(z) for _ in range(3))
    bounds, slots = Bounds(high, low), np.zeros(0, SLOT_KIND)
    nothing = np.empty(0, np.int64)
    marks = Marks(events, np.empty((60 // PASS, 0), np.int64), nothing)
    storage.apply(z, end, bounds, slots, marks, 0)

    gone = [3, 17, 18, 40, 59]
    later = np.delete(events, gone)
    before = end.copy(), high.copy(), low.copy()
    assert storage.adjust(events, later, len(gone) - 1, end, bounds).size == len(gone)
    np.testing.assert_array_equal((end, high, low), before)  # more than were allowed
    changes = storage.adjust(events, later, len(gone), end, bounds)
    assert sorted(changes >> np.uint64(1)) == sorted(events[gone] >> np.uint64(1))
    way = on_the_way(w, z, later)
    np.testing.assert_array_equal(end, way[-1])
    assert (high >= way.max(axis=0)).all()
    assert (low <= way.min(axis=0)).all()

    storage.adjust(later, events, len(gone), end, bounds)  # and back
    np.testing.assert_array_equal(end, before[0])
    assert (high >= before[1]).all()
    assert (low <= before[2]).all()
