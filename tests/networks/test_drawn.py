"""Networks that are a function of a seed: their laws, by code of its own, and their parts."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from made_networks import check_sparse, opened

from distsim.errors import InputError
from distsim.front.simulate import simulate
from distsim.networks.distance import grid, ring
from distsim.networks.drawn import Drawn
from distsim.ranks import partition
from distsim.ranks.communicator import Serial
from distsim.weights.dense import DenseColumns
from distsim.weights.shard import load
from distsim.weights.sparse import SparseColumns

N, K = 900, 30
CASES: dict[str, dict[str, Any]] = {
    "stratified": {"network": "random"},
    "probability": {"network": "random", "degree": "probability"},
    "types": {"network": "random", "weights": "types"},
    "paired": {"network": "random", "model": "bm"},
    "odd": {"network": "random", "model": "bm", "neurons": N - 1},
    "ring": {"network": "ring", "width": 15.0},
    "grid": {"network": "grid", "width": 3.0},
}


def made(network: str = "random", model: str = "mpm", **options: Any) -> Drawn:
    given = {"neurons": N, "synapses": K, "coupling": 2.0, "network_seed": 5, **options}
    found = opened(network, model, **given)
    assert isinstance(found, Drawn)
    return found


def whole(network: Drawn) -> Any:
    """W as scipy.sparse.csr_array."""
    row, source, weights = network.sparse_rows(0, network.neurons)
    return scipy.sparse.csr_array((weights, source, row), shape=(network.neurons,) * 2)


def near(found: float, wanted: float, deviation: float) -> bool:
    """Within five standard deviations."""
    return abs(found - wanted) < 5 * deviation


@pytest.mark.parametrize("name", CASES)
def test_any_rows_are_those_of_the_whole(name: str) -> None:
    network = made(**CASES[name])
    n = network.neurons
    w = whole(network).toarray()
    for start, stop in ((0, n), (0, 0), (n, n), (13, 14), (299, 600), (600, n)):
        rows = network.rows(start, stop)
        np.testing.assert_array_equal(rows, w[start:stop])
        check_sparse(network, start, stop, rows)
    other = made(**{**CASES[name], "network_seed": 6})
    assert (whole(other) != whole(network)).nnz > K * n


@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize("name", ["stratified", "probability", "paired", "ring"])
def test_parts_of_ranks_held_sparse_are_the_whole_held_dense(name: str, bits: int) -> None:
    """Columns that are made in place, of parts, against rows that are read."""
    network = made(**CASES[name])
    n = network.neurons
    dense = load(network, bits, Serial(), DenseColumns)
    columns: Any = dense.storage.columns
    for size in (1, 2, 3):
        for rank in range(size):
            first, stop = (partition.start(r, n, size) for r in (rank, rank + 1))
            part = SparseColumns(n, stop - first, bits)
            part.make(network.synapses, network.entries(first, stop), first, dense.unit)
            (start,), target, weight, _ = part.columns
            assert weight.all()
            found = scipy.sparse.csc_array((weight, target.astype(np.int64), start))
            np.testing.assert_array_equal(found.toarray(), columns[:, first:stop].T)
            tiles = SparseColumns(n, stop - first, bits, tile=5)
            tiles.make(network.synapses, network.entries(first, stop), first, dense.unit)
            rows = SparseColumns(n, stop - first, bits, tile=5)
            rows.store_rows(columns[:, first:stop].T, 0)
            for made_of, wanted in zip(tiles.columns, rows.columns, strict=True):
                np.testing.assert_array_equal(made_of, wanted)
    part.make(network.synapses, 7, first, dense.unit)  # less room than they need
    np.testing.assert_array_equal(part.columns.target, target)


def test_each_neuron_has_its_synapses_one_of_each_stratum() -> None:
    w = whole(made()).tocsc()
    assert (np.diff(w.indptr) == K).all()
    for j in range(N):
        targets = w.indices[w.indptr[j] : w.indptr[j + 1]]
        assert (targets // (N // K) == np.arange(K)).all()
    onto = np.bincount(w.indices, minlength=N)
    # Of N sources each takes a neuron with probability K / N: binomial.
    variance = K * (1 - K / N)
    assert near(onto.var(), variance, variance * math.sqrt(2 / N))
    uneven = whole(made(neurons=100, synapses=37)).tocsc()
    assert (np.diff(uneven.indptr) == 37).all()
    full = whole(made(neurons=50, synapses=50))
    assert full.nnz == 2500


def test_each_pair_has_one_probability() -> None:
    n, k = 9000, 3  # several stretches of gaps
    w = whole(made(neurons=n, synapses=k, degree="probability")).tocsc()
    out, onto = np.diff(w.indptr), np.bincount(w.indices, minlength=n)
    p = k / n
    assert near(w.nnz, n * k, math.sqrt(n * k * (1 - p)))
    for degrees in (out, onto):
        # Of a binomial's variance v the deviation is v sqrt(2 / n), and a little more of few.
        assert near(degrees.var(), k * (1 - p), k * math.sqrt((2 + 1 / k) / n))
    places = np.bincount(w.indices // 1000, minlength=9)
    assert (np.abs(places - w.nnz / 9) < 5 * math.sqrt(w.nnz / 9)).all()
    assert whole(made(neurons=40, synapses=40, degree="probability")).nnz == 1600


@pytest.mark.parametrize("name", ["paired", "odd"])
def test_pairs_are_symmetric_and_few_come_twice(name: str) -> None:
    network = made(**CASES[name])
    n = network.neurons
    w = whole(network)
    assert abs(w - w.T).max() == 0.0
    assert not w.diagonal().any()
    assert network.asymmetry(0, n) is None
    degrees = np.diff(w.indptr)
    assert degrees.max() == K
    # A pair comes again with probability K^2 / 2 N a neuron; of an odd number one has no partner.
    again = K * K / (2 * N)
    missing = n * again + (K if n % 2 else 0)
    assert near(n * K - w.nnz, missing, 2 * math.sqrt(missing))
    # Neurons meet whoever they meet: partners of neuron i are not those of i + 1.
    for distance in (1, 2, n // 2):
        met = np.count_nonzero(w.diagonal(distance))
        assert near(int(met), (n - distance) * K / n, math.sqrt((n - distance) * K / n))


@pytest.mark.parametrize("name", ["stratified", "probability", "paired", "grid"])
def test_weights_are_normal(name: str) -> None:
    w = whole(made(**CASES[name]))
    if name == "paired":
        w = scipy.sparse.triu(w, format="csr")
    z = w.data / (2.0 / math.sqrt(K))
    assert near(z.mean(), 0.0, 1 / math.sqrt(z.size))
    assert near((z**2).mean(), 1.0, math.sqrt(2 / z.size))
    assert near((z**4).mean(), 3.0, math.sqrt(96 / z.size))
    assert np.abs(z).max() < 4.33


def test_weights_are_independent_of_each_other_and_of_targets() -> None:
    w = whole(made()).tocsc()
    z = w.data.reshape(N, K)
    for a, b in ((z[:, 1:], z[:, :-1]), (z[1:], z[:-1]), (z[:, 2:], z[:, :-2])):
        product = (a * b).ravel() * K / 4.0
        assert near(product.mean(), 0.0, 1 / math.sqrt(product.size))
    place = (w.indices % (N // K)) / (N // K) - 0.5
    assert near((w.data * place).mean(), 0.0, z.std() * place.std() / math.sqrt(w.nnz))


def test_quantiles_lie_far_from_where_they_would_be_rounded_otherwise() -> None:
    """A logarithm of another library may differ by some 10^-9 of a step of the table."""
    from statistics import NormalDist

    steps = [NormalDist().inv_cdf((r + 0.5) / 65536) * 2**20 for r in range(32768, 65536)]
    assert min(abs(step % 1 - 0.5) for step in steps) > 1e-5


def test_weights_by_type_of_the_source() -> None:
    network = made(weights="types", inhibitory=0.25, ratio=3)
    w = whole(network).tocsc()
    population = network.population
    assert population is not None
    unit = 2.0 / math.sqrt(K)
    for j, kind in enumerate(population):
        wanted = -3 * unit if kind == "inhibitory" else unit
        assert (w.data[w.indptr[j] : w.indptr[j + 1]] == wanted).all()
    inhibits = np.array(population) == "inhibitory"
    assert inhibits.reshape(-1, 4).sum(axis=1).tolist() == [1] * (N // 4)
    assert 40 < inhibits.reshape(-1, 4)[:, 0].sum() < 73  # of 225, by chance
    assert set(made(weights="types", inhibitory=0).population or ()) == {"excitatory"}
    assert set(made(weights="types", inhibitory=1).population or ()) == {"inhibitory"}
    assert (np.array(made(weights="types").population) == "inhibitory").sum() == N // 5


def distances(w: Any, side: int) -> np.ndarray[Any, Any]:
    """Of all synapses: how far along each axis, shorter way round, [D, axes]."""
    target, source = w.nonzero()
    if not side:
        return np.asarray((target - source + N // 2) % N - N // 2)[:, None]
    ends = [np.stack([i % side, i // side], axis=1) for i in (target, source)]
    return np.asarray((ends[0] - ends[1] + side // 2) % side - side // 2)


@pytest.mark.parametrize(("name", "width", "side"), [("ring", 15.0, 0), ("grid", 3.0, 30)])
def test_targets_lie_as_the_kernel_says(name: str, width: float, side: int) -> None:
    network = made(**CASES[name])
    w = whole(network)
    assert (np.diff(w.tocsc().indptr) == K).all()
    far = distances(w, side)
    # Strata make sums vary less than those of independent draws, whose deviations these are.
    count = len(far)
    for axis in far.T:
        assert near(axis.mean(), 0.0, width / math.sqrt(count))
        assert near((axis**2).mean(), width**2, width**2 * math.sqrt(2 / count))
        assert near((axis**4).mean(), 3 * width**4, width**4 * math.sqrt(96 / count))
    if side:
        product = (far[:, 0] * far[:, 1]).mean()
        assert near(product, 0.0, width**2 / math.sqrt(count))
    onto = np.diff(w.indptr)
    assert onto.max() < 2.5 * K  # nobody is left out or beset: seams of a period
    assert onto.min() > K / 3


def test_a_wide_kernel_goes_round() -> None:
    for strata, cells in ((ring("w", 40, 20.0, 8), 40), (grid("w", 6, 3.0, 8), 36)):
        assert len(strata.offset) == cells
        assert len({tuple(one % 6 for one in cell) for cell in strata.offset.tolist()}) <= cells
        assert strata.bound.tolist()[0] == 0
        assert strata.bound[-1] == cells
        assert (np.diff(strata.bound) > 0).all()
        assert (strata.limit[strata.bound[1:] - 1] == 2**32 - 1).all()
    narrow = ring("w", 10**6, 20.0, 8)
    assert len(narrow.offset) < 300


def test_asymmetry_is_found() -> None:
    network = made()
    w = whole(network).toarray()
    for start, loops in ((0, False), (17, False), (17, True)):
        found = network.asymmetry(start, N, loops=loops)
        assert found is not None
        i, j, weight, mirrored = found
        assert i >= start
        assert (weight, mirrored) == (w[i, j], w[j, i])
        assert weight != mirrored or (i == j and weight)
        assert (w[start:i] == w.T[start:i]).all()
        assert (w[i, :j] == w.T[i, :j]).all()
    assert network.asymmetry(9, 9) is None
    assert made(coupling=0.0).asymmetry(0, N) is None


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("random", {"synapses": None}, "network random: no number of synapses given; allowed: "),
        ("random", {"neurons": None}, "network random: no size given; allowed: --neurons N"),
        ("random", {"synapses": 901}, "--synapses: 901 given for 900 neurons; allowed: .* 1 to"),
        ("random", {"synapses": 0}, "synapses: 0 given; allowed: an integer, 1 or more"),
        ("random", {"width": 2.0}, "--width: 2.0 given for network random; allowed only for"),
        ("gaussian", {}, "--synapses: 30 given for network gaussian; allowed only for ran"),
        ("ring", {}, "network ring: no width given; allowed: --width NUMBER"),
        ("ring", {"width": 0}, "width: 0 given; allowed: a finite number above 0"),
        ("ring", {"width": 451.0}, "--width: 451 given for a length of 900; allowed: .* a half"),
        ("ring", {"width": 11.0}, "--width: 11 given for 30 synapses; allowed: 12 or so and more"),
        ("ring", {"width": 9.0, "degree": "probability"}, "--degree: probability .* only for"),
        ("grid", {"width": 1.0}, "--width: 1 given for 30 synapses; allowed: 2.19 or so and more"),
        ("grid", {"neurons": 901, "width": 3}, "901 given for network grid; .* such as 900 or 961"),
        ("ring", {"width": 15.0, "model": "bm"}, "network ring: ring given for the bm; allow"),
        ("random", {"degree": "probability", "model": "bm"}, "degree probability given for the bm"),
        ("random", {"weights": "types", "model": "bm"}, "weights by type given for the bm"),
        ("random", {"ratio": 4.0}, "--ratio: 4.0 given for normal weights; .* --weights types"),
        ("random", {"inhibitory": 0.2}, "--inhibitory: 0.2 given for normal weights; allowed"),
        ("random", {"weights": "types", "inhibitory": "a=b"}, "a=b given .*: a share from 0 to 1"),
        ("random", {"inhibitory": 1.5}, "inhibitory: 1.5 given; allowed: .* a share from 0 to 1"),
        ("random", {"symmetrize": True}, "--symmetrize: True given for network random; allow"),
        ("random", {"extent": 3}, "--extent: 3 given for network random; allowed only for"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(
    network: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        made(network, **options)


def test_a_table_of_edges_has_no_share_of_inhibitory_neurons() -> None:
    with pytest.raises(
        InputError, match=r"--inhibitory: 0\.2 given for a table of edges; allowed: C"
    ):
        opened(__file__, inhibitory="0.2")


@pytest.mark.parametrize(
    "options",
    [
        {"network": "random", "weights": "types", "degree": "probability"},
        {"network": "grid", "width": 2.5, "neurons": 144},
        {"network": "random", "model": "bm"},
    ],
)
def test_events_do_not_depend_on_how_weights_are_held(options: dict[str, Any]) -> None:
    given: dict[str, Any] = {"neurons": 150, "synapses": 12, "transitions": 2000, **options}
    found = [simulate(**given, storage=storage, device="cpu") for storage in ("dense", "sparse")]
    assert found[0].digest == found[1].digest
    assert [one.summary.storage for one in found] == ["dense", "sparse"]
    assert all(one.summary.consistent for one in found)
