"""Cell types in a lattice: the optic lobe beside the table that plain loops make of it."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_networks import matrix, opened

from distsim.errors import InputError
from distsim.networks.checks import check_model

SMALL: dict[str, Any] = {
    "nodes": [
        {"name": "a", "pattern": ["stride", [1, 1]]},
        {"name": "b", "pattern": ["stride", [2, 1]]},
        {"name": "alone", "pattern": ["stride", [1, 1]]},
    ],
    "edges": [
        {"src": "a", "tar": "b", "alpha": -1, "offsets": [[[1, 0], 2.5], [[0, 0], 1]]},
        {"src": "a", "tar": "b", "alpha": 1, "offsets": [[[0, 0], 4]]},
        {"src": "b", "tar": "b", "alpha": 1, "offsets": [[[0, -1], 3]]},
    ],
}


def by_loops(lattice: dict[str, Any], extent: int) -> dict[tuple[str, str], float]:
    """(source, target) -> weight."""
    columns = [
        (u, v)
        for u in range(-extent, extent + 1)
        for v in range(-extent, extent + 1)
        if abs(u + v) <= extent
    ]
    present: dict[str, set[tuple[int, int]]] = {}
    for node in lattice["nodes"]:
        su, sv = node["pattern"][1]
        present[node["name"]] = {(u, v) for u, v in columns if u % su == 0 and v % sv == 0}
    found: dict[tuple[str, str], float] = {}
    for edge in lattice["edges"]:
        for (du, dv), count in edge["offsets"]:
            for u, v in present[edge["src"]]:
                if (u + du, v + dv) in present[edge["tar"]]:
                    pair = f"{edge['src']}/{u}/{v}", f"{edge['tar']}/{u + du}/{v + dv}"
                    found[pair] = found.get(pair, 0.0) + edge["alpha"] * count
    return found


def saved(path: Path, lattice: object) -> Path:
    (path / "l.json").write_text(json.dumps(lattice))
    return path / "l.json"


def table(network: Any) -> dict[tuple[str, str], float]:
    row, source, weights = network.sparse_rows(0, network.neurons)
    target = np.repeat(np.arange(network.neurons), np.diff(row))
    names = network.names
    return {
        (names[j], names[i]): w
        for i, j, w in zip(target.tolist(), source.tolist(), weights.tolist(), strict=True)
    }


@pytest.mark.parametrize("extent", [0, 1, 4])
def test_a_lattice_in_a_file(extent: int, tmp_path: Path) -> None:
    network = opened(saved(tmp_path, SMALL), extent=extent)
    wanted = by_loops(SMALL, extent)
    assert table(network) == wanted
    assert network.names is not None
    assert network.population == tuple(name.split("/")[0] for name in network.names)
    assert {*network.names} == {end for pair in wanted for end in pair}


def test_the_optic_lobe() -> None:
    network = opened("optic-lobe")
    assert network.neurons == 45_607
    assert network.entries(0, network.neurons) == 1_357_269
    assert len(set(network.population or ())) == 65
    file = resources.files("distsim.networks").joinpath("data/optic_lobe.json")
    lattice = json.loads(file.read_text())
    small = opened("optic-lobe", extent=3)
    assert (small.neurons, small.entries(0, small.neurons)) == (2331, 57_663)
    assert table(small) == by_loops(lattice, 3)
    assert table(small)["R1/0/0", "L1/0/0"] == -40.0


def test_the_optic_lobe_as_a_boltzmann_machine() -> None:
    w = matrix(opened("optic-lobe", extent=1))
    network = opened("optic-lobe", model="bm", extent=1)
    np.testing.assert_array_equal(matrix(network), (w + w.T) / 2)
    check_model(network, "bm", 0, network.neurons)
    assert network.population is not None


def changed(part: str, k: int, **values: object) -> dict[str, Any]:
    lattice: dict[str, Any] = json.loads(json.dumps(SMALL))
    lattice[part][k] |= values
    return lattice


@pytest.mark.parametrize(
    ("lattice", "message"),
    [
        ([], "no such lattice: TypeError .*; allowed: cell types in a lattice: nodes of name"),
        ({"nodes": []}, "no such lattice: KeyError 'edges'; allowed"),
        (changed("nodes", 1, name="a"), "ValueError a again"),
        (changed("nodes", 1, pattern=["tile", [1, 1]]), "ValueError pattern tile 1 1 of b"),
        (changed("nodes", 1, pattern=["stride", [0, 1]]), "ValueError pattern stride 0 1 of b"),
        (changed("edges", 1, tar="c"), "KeyError 'c'"),
        (changed("edges", 1, offsets=[[[0], 1]]), "ValueError not enough values"),
        (changed("edges", 1, alpha=float("nan")), "weight nan from a onto b given; allowed: fin"),
        ({"nodes": [], "edges": []}, r"l\.json: 0 neurons given; allowed: 1 to"),
    ],
)
def test_what_is_no_lattice(lattice: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        opened(saved(tmp_path, lattice))


def test_files_that_cannot_be_lattices(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text('{"nodes": [')
    with pytest.raises(InputError, match=r"w\.json: not JSON: .*; allowed: cell types"):
        opened(tmp_path / "w.json")
    path = saved(tmp_path, changed("nodes", 0, name="z"))
    with pytest.raises(InputError, match="KeyError 'a'"):
        opened(path)
    with pytest.raises(InputError, match="extent: 1001 given; allowed: an integer from 0 to 999"):
        opened(path, extent=1001)
