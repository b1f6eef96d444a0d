"""Edges of SONATA: against libsonata, several populations, and what is no such file."""

from pathlib import Path
from typing import Any

import h5py
import libsonata
import numpy as np
import pytest
from made_networks import matrix, opened

from distsim.errors import InputError

N = 30


def write(
    path: Path,
    name: str = "v1_to_v1",
    ends: tuple[Any, Any] = ([0, 2, 0], [1, 1, 1]),
    nodes: tuple[str, str] = ("v1", "v1"),
    **columns: Any,
) -> Path:
    """Edges of a population, into a file."""
    with h5py.File(path, "a") as file:
        group = file.create_group(f"edges/{name}")
        for end, ids, population in zip(("source", "target"), ends, nodes, strict=True):
            group[f"{end}_node_id"] = np.array(ids, np.uint64)
            group[f"{end}_node_id"].attrs["node_population"] = population
        group["edge_type_id"] = np.zeros(len(ends[0]), np.int64)
        for column, values in columns.items():
            group[column.replace("__", "/")] = values
    return path


def test_edges_are_those_that_libsonata_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    ends = rng.integers(0, N, (2, 400))
    weights = rng.normal(size=400).astype(np.float32)
    columns: dict[str, Any] = {
        "syn_count": ends[0],
        "edge_group_id": np.zeros(400, np.uint16),
        "edge_group_index": np.arange(400),
        "0__syn_weight": weights,
    }
    path = write(tmp_path / "edges.h5", ends=(ends[0], ends[1]), **columns)
    edges = libsonata.EdgeStorage(str(path)).open_population("v1_to_v1")
    every = edges.select_all()
    expected = np.zeros((N, N))
    pairs = edges.target_nodes(every), edges.source_nodes(every)
    np.add.at(expected, pairs, edges.get_attribute("syn_weight", every).astype(np.float64))
    network = opened(path, neurons=N)
    np.testing.assert_allclose(matrix(network), expected, rtol=1e-12, atol=1e-12)
    assert network.names is None
    assert network.population == N * ("v1",)
    pairs_that_are = len({*zip(*ends.tolist(), strict=True)})
    assert network.notes == (f"{400 - pairs_that_are} edges of pairs that came before, summed",)


def test_weights_are_found_by_their_index(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"0__syn_weight": [5.0, 6.0, 7.0], "edge_group_index": [2, 0, 1]}
    network = opened(write(tmp_path / "w.h5", **columns))
    assert matrix(network)[1].tolist() == [7 + 6, 0, 5]


def test_several_populations_follow_each_other(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.sonata", "lgn_to_v1", ([2], [0]), ("lgn", "v1"), **{"0__syn_weight": [7.0]}
    )
    write(path, "v1_to_v1", ([0], [1]), ("v1", "v1"))
    network = opened(path)
    assert network.names == ("lgn:0", "lgn:1", "lgn:2", "v1:0", "v1:1")
    assert network.population == ("lgn", "lgn", "lgn", "v1", "v1")
    assert np.argwhere(matrix(network)).tolist() == [[3, 2], [4, 3]]
    assert matrix(network).sum() == 8
    assert network.notes == ("v1_to_v1 has no syn_weight, each edge a weight of 1",)
    with pytest.raises(InputError, match=r"--neurons 5 given for 2 populations .* \(lgn, v1\)"):
        opened(path, neurons=5)
    with h5py.File(path, "a") as file:
        file["nodes/v1/node_type_id"] = np.zeros(4, np.int64)
    assert opened(path).neurons == 7
    with h5py.File(path, "a") as file:
        file["nodes/lgn/node_type_id"] = np.zeros(2, np.int64)
    with pytest.raises(
        InputError, match="an edge to neuron 2 of lgn, which has 2; allowed: 0 to 1"
    ):
        opened(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edge_group_id": [0, 1, 0]}, "edges of several groups given; allowed: of group 0 alone"),
        ({"ends": ([0, 2], [1, 1, 1])}, "columns of different length given"),
        ({"0__syn_weight": [1.0]}, "columns of different length given"),
        ({"0__syn_weight": [b"a", b"b", b"c"]}, "numbers of type .* given; allowed: real"),
        (
            {"0__syn_weight": [1.0, 2.0], "edge_group_index": [0, 1, 2]},
            "not SONATA's edges: index 2 is out of b",
        ),
        ({"ends": ([0, 2**40], [1, 1])}, "allowed: integers from 0 to 4194303"),
    ],
)
def test_bad_edges(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "w.h5", **options)
    with pytest.raises(InputError, match=rf"w\.h5.*{message}"):
        opened(path)


def test_files_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["events/time"] = [1.0]
    with pytest.raises(
        InputError, match=r"w\.h5: /events given; allowed: SONATA's edges, with /ed"
    ):
        opened(path)
    with h5py.File(path, "w") as file:
        file["edges/a/source_node_id"] = [1]
    with pytest.raises(InputError, match="/edges/a: no source_node_id with its node_population"):
        opened(path)
    with h5py.File(path, "w") as file:
        file["edges"] = [1]
    with pytest.raises(InputError, match=r"w\.h5: not SONATA's edges: "):
        opened(path)
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(InputError, match=r"w\.h5: .*signature not found"):
        opened(path)
