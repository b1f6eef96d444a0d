"""Matrices made symmetric, and their diagonal in the bias: energies, contract, ways out."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_networks import (
    SOURCES,
    Source,
    asymmetric,
    check_sparse,
    energy,
    in_memory,
    lines,
    matrix,
    opened,
    save_edges,
    save_npz,
    states,
)

from distsim.config.options import Config
from distsim.errors import InputError
from distsim.files import arrays
from distsim.networks.catalogue import finished
from distsim.networks.checks import check_energy, check_model
from distsim.networks.matrices import from_array
from distsim.weights.source import Network

OPTIONS = [
    dict.fromkeys(names, True)
    for names in (("symmetrize",), ("diagonal_to_bias",), ("symmetrize", "diagonal_to_bias"))
]


def mended(source: Source, path: Path, w: Any, options: dict[str, bool]) -> Network:
    """As a source gives it, mended."""
    return finished(source(path, w), Config(transitions=1, **options))  # type: ignore[arg-type]


def by_hand(w: Any, symmetrize: bool = False, diagonal_to_bias: bool = False) -> tuple[Any, Any]:
    w = (w + w.T) / 2 if symmetrize else w.copy()
    bias = np.diag(w) / 2 if diagonal_to_bias else np.zeros(len(w))
    if diagonal_to_bias:
        np.fill_diagonal(w, 0.0)
    return w, bias


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("options", OPTIONS)
def test_the_contract_of_networks(
    source: Source, options: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "TILE_BYTES", 100)
    network = mended(source, tmp_path, asymmetric(), options)
    w, bias = by_hand(asymmetric(), **options)
    np.testing.assert_array_equal(network.bias, bias)
    np.testing.assert_array_equal(matrix(network), w)
    for start, stop in itertools.combinations_with_replacement(range(8), 2):
        np.testing.assert_array_equal(network.rows(start, stop), w[start:stop])
        check_sparse(network, start, stop, w[start:stop])
        assert network.peak(start, stop) == np.abs(w[start:stop]).max(initial=0.0)
        for loops in (False, True):
            expected = from_array(w).asymmetry(start, stop, loops=loops)
            assert network.asymmetry(start, stop, loops=loops) == expected


def test_energies_stay() -> None:
    x = states(7)
    before = energy(from_array(asymmetric()), x)
    for options in OPTIONS:
        network = mended(in_memory, Path(), asymmetric(), options)
        np.testing.assert_allclose(energy(network, x), before, atol=1e-12)


def test_the_way_out_is_named_and_leads_out(tmp_path: Path) -> None:
    w = asymmetric()
    np.savez(tmp_path / "w.npz", weights=w, bias=np.arange(7.0))
    path = tmp_path / "w.npz"
    network = opened(path, "bm")
    with pytest.raises(InputError, match=r"or with --symmetrize, which takes \(W \+ W'\) / 2"):
        check_model(network, "bm", 0, 7)
    with pytest.raises(InputError, match=r"what needs none; or with --symmetrize, which"):
        check_energy(network, "energy", 0, 7)
    network = opened(path, "bm", symmetrize=True)
    check_energy(network, "energy", 0, 7)
    with pytest.raises(InputError, match="or with --diagonal-to-bias, which adds half of it to th"):
        check_model(network, "bm", 0, 7)
    network = opened(path, "bm", symmetrize=True, diagonal_to_bias=True)
    check_model(network, "bm", 0, 7)
    np.testing.assert_array_equal(network.bias, np.arange(7.0) + np.diag(w) / 2)
    lines(tmp_path / "b.txt", "7 6 5 4 3 2 1")
    network = opened(path, diagonal_to_bias=True, bias=str(tmp_path / "b.txt"))
    np.testing.assert_array_equal(network.bias, np.arange(7.0, 0.0, -1) + np.diag(w) / 2)


def test_a_tiny_asymmetry_is_made_none() -> None:
    rng = np.random.default_rng(8)
    w = rng.normal(size=(50, 50))
    w = (w + w.T) * (1 + 1e-15 * rng.normal(size=w.shape))
    assert from_array(w).asymmetry(0, 50, loops=True) is not None
    made = matrix(mended(in_memory, Path(), w, {"symmetrize": True}))
    np.testing.assert_array_equal(made, made.T)


@pytest.mark.parametrize("source", [in_memory, save_npz])
def test_what_is_no_number_is_still_refused(source: Source, tmp_path: Path) -> None:
    w = asymmetric()
    w[4, 2] = np.nan
    network = mended(source, tmp_path, w, OPTIONS[-1])
    with pytest.raises(InputError, match=r"weight W\[4, 2\] = nan given; allowed: finite"):
        network.peak(3, 7)


def test_names_and_notes_stay(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "pre,post,count", "a,b,1", "b,b,3")
    network = opened(path, symmetrize=True, diagonal_to_bias=True)
    assert network.names == ("a", "b")
    assert network.notes == ("columns pre, post, count",)
    assert matrix(network).tolist() == [[0, 0.5], [0.5, 0]]
    assert network.bias.tolist() == [0, 1.5]


def test_a_cut_stays_one(tmp_path: Path) -> None:
    path = lines(tmp_path / "g.txt", "3 1", "1 2 5")
    assert opened(path, "bm", symmetrize=True, diagonal_to_bias=True).maxcut
    assert save_edges(tmp_path, np.ones((2, 2))).maxcut is False
